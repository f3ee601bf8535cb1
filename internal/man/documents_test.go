package man

import (
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ctkeeper/ctkeeper/internal/netns"
)

var update = flag.Bool("update", false, "rewrite packaging/man")

// TestPagesAreCurrent compares the pages that are made from documents.
func TestPagesAreCurrent(t *testing.T) {
	configuration := read(t, "configuration.md")
	_, configuration, _ = strings.Cut(configuration, "# Configuration\n")
	example, configuration, _ := strings.Cut(configuration, "## Which files")
	Compare(t, root, Page{
		Name: "ctkeeper.yaml", Section: 5, Short: "the configuration of ctkeeper",
		Parts: []Part{
			{"Synopsis", ".PP\n" + Italic("/etc/ctkeeper/ctkeeper.yaml") + "\n.PP\n" +
				Italic("/usr/lib/ctkeeper/conf.d/*.yaml") + "\n.br\n" + Italic("/run/ctkeeper/conf.d/*.yaml") +
				"\n.br\n" + Italic("/etc/ctkeeper/conf.d/*.yaml") + "\n"},
			{"Description", Markdown("The settings of nf_conntrack that `ctkeeper` keeps, in YAML. " +
				"`ctkeeper config check` checks a configuration and `ctkeeper diff` shows what it would change.")},
			{"", Markdown("## Which files" + configuration)},
			{"Examples", Markdown(example)},
			{"See also", SeeAlso("ctkeeper(8)", "ctkeeper-config(8)", "ctkeeper-guard(7)", "modprobe.d(5)",
				"sysctl.d(5)")},
		},
	}, *update)
	_, guard, _ := strings.Cut(read(t, "guard.md"), "# The guard\n")
	Compare(t, root, Page{
		Name: "ctkeeper-guard", Section: 7, Short: "find and stop who writes the settings of nf_conntrack",
		Parts: []Part{
			{"Description", Markdown(guard)},
			{"See also", SeeAlso("ctkeeper(8)", "ctkeeper-guard(8)", "ctkeeper.yaml(5)", "capabilities(7)")},
		},
	}, *update)
}

// root is the directory of the module.
const root = "../.."

func read(t *testing.T, document string) string {
	t.Helper()
	data, err := os.ReadFile(root + "/docs/" + document)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// TestLint checks the pages as mandoc does.
func TestLint(t *testing.T) {
	mandoc, err := exec.LookPath("mandoc")
	if err != nil {
		netns.Cannot(t, "mandoc is missing (package mandoc)")
	}
	files, err := filepath.Glob(root + "/packaging/man/*.[578]")
	if err != nil || len(files) == 0 {
		t.Fatalf("no pages (%v)", err)
	}
	out, err := exec.Command(mandoc, append([]string{"-T", "lint", "-W", "style"}, files...)...).CombinedOutput()
	if err != nil {
		t.Errorf("mandoc: %v\n%s", err, out)
	}
}
