package config

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/reconcile"
)

const (
	etcDir = "/etc/ctkeeper/conf.d/"
	runDir = "/run/ctkeeper/conf.d/"
	usrDir = "/usr/lib/ctkeeper/conf.d/"
)

var precedenceTests = map[string]struct {
	files  map[string]string
	wants  []string
	read   []string
	hidden []Hidden
}{
	"no file at all": {
		wants: []string{"hashsize at_least 349184 (default)", "max at_least 349184 (default)"},
	},
	"the main file alone": {
		files: map[string]string{DefaultMain: "settings:\n  max: 1\n"},
		wants: []string{"max 1 /etc/ctkeeper/ctkeeper.yaml:2"},
		read:  []string{DefaultMain},
	},
	"a drop-in alone": {
		files: map[string]string{usrDir + "10.yaml": "settings:\n  max: 1\n"},
		wants: []string{"max 1 " + usrDir + "10.yaml:2"},
		read:  []string{usrDir + "10.yaml"},
	},
	"file names decide, not directories": {
		files: map[string]string{
			DefaultMain:        "settings: {max: 1, acct: 1, expect_max: 1}",
			etcDir + "10.yaml": "settings: {max: 2, acct: 0}",
			usrDir + "30.yaml": "settings: {max: 4}",
			runDir + "20.yaml": "settings: {max: {at_least: 3}}",
		},
		wants: []string{
			"max 4 " + usrDir + "30.yaml:1", "expect_max 1 " + DefaultMain + ":1", "acct 0 " + etcDir + "10.yaml:1",
		},
		read: []string{DefaultMain, etcDir + "10.yaml", runDir + "20.yaml", usrDir + "30.yaml"},
	},
	"etc hides run hides usr": {
		files: map[string]string{
			etcDir + "a.yaml": "settings: {max: 1}", runDir + "a.yaml": "broken",
			usrDir + "a.yaml": "settings: {max: 3}",
			runDir + "b.yaml": "settings: {expect_max: 2}", usrDir + "b.yaml": "settings: {expect_max: 3}",
		},
		wants: []string{"max 1 " + etcDir + "a.yaml:1", "expect_max 2 " + runDir + "b.yaml:1"},
		read:  []string{etcDir + "a.yaml", runDir + "b.yaml"},
		hidden: []Hidden{
			{runDir + "a.yaml", "hidden by " + etcDir + "a.yaml"},
			{usrDir + "a.yaml", "hidden by " + etcDir + "a.yaml"},
			{usrDir + "b.yaml", "hidden by " + runDir + "b.yaml"},
		},
	},
	"masks": {
		files: map[string]string{
			DefaultMain:       "settings: {acct: 1}",
			etcDir + "a.yaml": "-> /dev/null", usrDir + "a.yaml": "settings: {max: 1}",
			runDir + "b.yaml": "", usrDir + "b.yaml": "settings: {max: 1}",
			etcDir + "c.yaml": "-> ../masked", "/etc/ctkeeper/masked": "-> ../../dev/null",
		},
		wants: []string{"acct 1 " + DefaultMain + ":1"},
		read:  []string{DefaultMain},
		hidden: []Hidden{
			{etcDir + "a.yaml", "link to /dev/null"}, {usrDir + "a.yaml", "hidden by " + etcDir + "a.yaml"},
			{runDir + "b.yaml", "empty file"}, {usrDir + "b.yaml", "hidden by " + runDir + "b.yaml"},
			{etcDir + "c.yaml", "link to /dev/null"},
		},
	},
	"only masks: the default": {
		files:  map[string]string{etcDir + "a.yaml": "-> /dev/null"},
		wants:  []string{"hashsize at_least 349184 (default)", "max at_least 349184 (default)"},
		hidden: []Hidden{{etcDir + "a.yaml", "link to /dev/null"}},
	},
	"an empty main file configures nothing": {
		files:  map[string]string{DefaultMain: ""},
		hidden: []Hidden{{DefaultMain, "empty file"}},
	},
	"a main file of comments: the default": {
		files: map[string]string{DefaultMain: "# settings:\n"},
		wants: []string{"hashsize at_least 349184 (default)", "max at_least 349184 (default)"},
		read:  []string{DefaultMain},
	},
	"other sections: the default": {
		files: map[string]string{DefaultMain: "settings:\n#  max: 1\n", etcDir + "a.yaml": "guard: watch"},
		wants: []string{"hashsize at_least 349184 (default)", "max at_least 349184 (default)"},
		read:  []string{DefaultMain, etcDir + "a.yaml"},
	},
	"a section without settings configures nothing": {
		files: map[string]string{etcDir + "a.yaml": "settings: {}"},
		read:  []string{etcDir + "a.yaml"},
	},
	"links stay below the root": {
		files: map[string]string{
			DefaultMain: "-> /srv/../../../main", "/main": "settings: {max: 1}",
			etcDir: "-> /srv/dropins", "/srv/dropins/a.yaml": "settings: {acct: 1}",
		},
		wants: []string{"max 1 " + DefaultMain + ":1", "acct 1 " + etcDir + "a.yaml:1"},
		read:  []string{DefaultMain, etcDir + "a.yaml"},
	},
}

func TestPrecedence(t *testing.T) {
	for name, test := range precedenceTests {
		t.Run(name, func(t *testing.T) {
			files := map[string]string{}
			for path, content := range test.files {
				files[strings.TrimSuffix(path, "/")] = content
			}
			c := load(t, host(t, files))
			diff(t, "wants", test.wants, wants(c))
			diff(t, "files", test.read, c.Files)
			diff(t, "hidden", test.hidden, c.Hidden)
		})
	}
}

// The hash is the beginning of what "cat FILES | sha256sum" prints.
func TestHash(t *testing.T) {
	files := map[string]string{DefaultMain: "settings: {max: 2048}\n", etcDir + "a.yaml": "settings: {acct: 1}"}
	before := load(t, host(t, files))
	content := files[DefaultMain] + files[etcDir+"a.yaml"]
	diff(t, "hash", fmt.Sprintf("%x", sha256.Sum256([]byte(content)))[:12], before.Hash)
	files[etcDir+"b.yaml"] = "" // a mask
	diff(t, "hash with a mask", before.Hash, load(t, host(t, files)).Hash)
	files[etcDir+"b.yaml"] = "# one byte"
	if c := load(t, host(t, files)); c.Hash == before.Hash {
		t.Errorf("%q have the hash of %q", c.Files, before.Files)
	}
	diff(t, "hash without files", "", load(t, host(t, nil)).Hash)
}

func TestOtherKeysMerge(t *testing.T) {
	c := load(t, host(t, map[string]string{
		DefaultMain:       "module: {load: true, parameters: {acct: 1, tstamp: true}}\nenforcement: {mode: observe}\n",
		etcDir + "a.yaml": "module:\n  parameters:\n    acct: false\nenforcement:\n  resync: 1m30s\n",
	}))
	diff(t, "module", Module{Load: true, Parameters: []Parameter{
		{"acct", "0", tree.Place{File: etcDir + "a.yaml", Line: 3}},
		{"tstamp", "1", tree.Place{File: DefaultMain, Line: 1}},
	}}, c.Module)
	diff(t, "resync", "1m30s", c.Resync.String())
	diff(t, "mode", reconcile.Observe, c.Mode)
	origins := map[string]string{}
	for key, place := range c.Origins {
		origins[key] = place.String()
	}
	diff(t, "origins", map[string]string{
		"module.load": DefaultMain + ":1", "enforcement.mode": DefaultMain + ":2",
		"enforcement.resync": etcDir + "a.yaml:5", "guard.mode": DefaultOrigin, "guard.allow": DefaultOrigin,
	}, origins)
}

func TestAllErrorsOfAllFiles(t *testing.T) {
	root := host(t, map[string]string{
		DefaultMain:       "settings: {max: many}\n",
		etcDir + "a.yaml": "setings: {}\n",
		runDir + "b.yaml": "-> /nowhere",
		usrDir + "c.yaml": "-> c.yaml",
		usrDir + "d.yaml": "settings: {hashsize: 536870400}",
		usrDir + "e.yaml": "#" + strings.Repeat("x", maxFileSize),
	})
	if err := os.Mkdir(filepath.Join(root, etcDir, "f.yaml"), 0o755); err != nil {
		t.Fatal(err)
	}
	_, err := Source{Root: root}.Load()
	if err == nil {
		t.Fatal("no error")
	}
	diff(t, "errors", strings.Join([]string{
		DefaultMain + ":1:17: settings.max: many is not a whole decimal number " +
			"(a whole number, 0..2147483647, or auto)",
		etcDir + "a.yaml:1:1: setings: unknown key (did you mean settings?)",
		runDir + "b.yaml: is a link to a file that does not exist (a file, or a link to /dev/null)",
		usrDir + "c.yaml: cannot read: too many levels of symbolic links",
		usrDir + "e.yaml: is too large (up to 64 KiB)",
		etcDir + "f.yaml: is a directory (a file)",
		usrDir + "d.yaml:1:22: settings.hashsize: a table of 4 GiB would take over 1/4 of the 8 GiB of RAM " +
			"(up to 268435456)",
	}, "\n"), strings.ReplaceAll(err.Error(), root, ""))
}

func TestMainFile(t *testing.T) {
	root := host(t, map[string]string{
		"/other.yaml":      "settings: {acct: 1}",
		etcDir + "10.yaml": "settings: {max: 1}",
	})
	c, err := Source{Root: root, Main: "/other.yaml", MainRequired: true}.Load()
	if err != nil {
		t.Fatal(err)
	}
	diff(t, "another main file is read alone", []string{"/other.yaml"}, c.Files)

	_, err = Source{Root: root, Main: DefaultMain, MainRequired: true}.Load()
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing main file that is required: %v", err)
	}
	diff(t, "its error", root+DefaultMain+": cannot read: no such file or directory", err.Error())

	c, err = Source{Main: "/dev/null", MainRequired: true}.Load()
	if err != nil || len(c.Wants) > 0 || c.Mode != reconcile.Enforce {
		t.Errorf("/dev/null configures %v, %v", c, err)
	}
}

func TestCheckEachFileAlone(t *testing.T) {
	root := host(t, map[string]string{
		DefaultMain: "broken", "/a.yaml": "settings: {max: 1}", "/b.yaml": "settings: {max: 2}",
		"/c.yaml": "guard: locked\n",
	})
	src := Source{Root: root}
	if _, err := src.Check("/a.yaml", "/b.yaml"); err != nil {
		t.Errorf("two valid files: %v", err)
	}
	_, err := src.Check("/a.yaml", "/c.yaml", "/missing.yaml")
	var errs Errors
	if !errors.As(err, &errs) || len(errs) != 2 {
		t.Errorf("want the errors of c.yaml and missing.yaml, have: %v", err)
	}
	if _, err := src.Check(); err == nil {
		t.Error("the broken main file passes")
	}
}

func TestUnreadableDirectory(t *testing.T) {
	root := host(t, map[string]string{strings.TrimSuffix(etcDir, "/"): "a file"})
	_, err := Source{Root: root}.Load()
	if err == nil || !strings.Contains(err.Error(), "conf.d: cannot read: not a directory") {
		t.Errorf("a file in place of conf.d: %v", err)
	}
}
