package inventory

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/ctkeeper/ctkeeper/host/mountinfo"
	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/kmod"
	"github.com/ctkeeper/ctkeeper/sysfs"
)

// The limits of the search. On a Debian host it read 2,000 files and 5 MB in 0.25 s of two slow processors;
// grep -rI of the same directories took 1 s, because it reads programs to their end.
const (
	// maxSearched is the size of a file that is searched, in bytes. Scripts and configuration are
	// shorter; what is longer is a program or data.
	maxSearched = 256 << 10
	// headSize is how much of a file is read to see that it is a program, in bytes.
	headSize = 512
	// maxSearchedFiles and maxSearchedBytes limit the whole search, maxEntries one directory.
	maxSearchedFiles = 20_000
	maxSearchedBytes = 64 << 20
	maxEntries       = 5_000
	// maxMentions limits the mentions, maxFileMentions those of one file, maxMentionText the text of
	// one, in bytes.
	maxMentions     = 500
	maxFileMentions = 50
	maxMentionText  = 200
)

var (
	errSearchLimit = errors.New("has more files than are searched for nf_conntrack")
	errRemote      = errors.New("is on another host's file system, which is not searched for nf_conntrack")
)

// search looks for mentions.
type search struct {
	*reader
	// seen are the files and directories that were searched, by their resolved paths.
	seen         map[string]bool
	files, bytes int
	// known are the lines that a reader understood, by the resolved path and the number. Line 0 is a
	// whole file.
	known map[tree.Place]bool
	// remote are the mount points of file systems of other hosts, and of programs (FUSE). One whose server
	// is gone would block the search.
	remote []string
	// programs are the files that something runs, and pending the mentions in scripts that only
	// count if one of programs names their file.
	programs []string
	pending  map[string][]int
}

// readMentions looks for the lines that name nf_conntrack and that no reader understood. It comes after
// the other readers.
func (r *reader) readMentions() {
	s := &search{
		reader: r, seen: map[string]bool{}, known: map[tree.Place]bool{}, pending: map[string][]int{},
	}
	mounts, _ := mountinfo.Read(r.tree) // a collected tree has none
	for _, m := range mounts {
		if remoteType.MatchString(m.FSType) && m.Mountpoint != "/" {
			s.remote = append(s.remote, m.Mountpoint)
		}
	}
	s.addKnown()
	for _, root := range searchRoots() {
		s.walk(root)
	}
	s.confirmPending()
	slices.SortStableFunc(r.inv.Mentions, func(a, b Mention) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line))
	})
}

// isRemote reports whether a file is on the file system of another host.
func (s *search) isRemote(file string) bool {
	return slices.ContainsFunc(s.remote, func(dir string) bool { return hasDir(file, dir) })
}

// addKnown collects what the readers understood.
func (s *search) addKnown() {
	resolved := map[string]string{}
	add := func(p tree.Place) {
		if _, done := resolved[p.File]; !done {
			resolved[p.File] = s.resolve(p.File)
		}
		s.known[tree.Place{File: resolved[p.File], Line: p.Line}] = true
	}
	for _, a := range s.inv.Assignments {
		add(a.Place)
	}
	for _, o := range s.inv.ToolOptions {
		if !o.Default {
			add(o.Place)
		}
	}
	for _, p := range s.inv.EarlyLoads {
		add(p)
	}
	for _, d := range s.inv.DeadLines {
		add(d.Place)
	}
	for _, t := range s.inv.Troubles {
		add(t.Place)
	}
	for _, d := range s.inv.Modprobe.Directives {
		add(tree.Place{File: d.File})
	}
	for _, f := range s.sysctls { // read whole: a line that sets nothing excludes a key from the patterns
		add(tree.Place{File: f.Path})
	}
	for _, file := range s.inv.PersistFiles {
		add(tree.Place{File: file})
	}
	for at := range s.understood {
		add(at)
	}
}

func (s *search) resolve(file string) string {
	end, _, err := s.tree.Resolve(file)
	if err != nil {
		return file
	}
	return end
}

func (s *search) addNotSearched(file string, err error) {
	s.inv.NotSearched = append(s.inv.NotSearched, tree.Trouble{Place: tree.Place{File: file}, Err: err})
}

// directory is one that is still to be searched: its path, and where that leads.
type directory struct {
	path, end string
	depth     int
}

// walk searches the files below a root, those near to it first.
func (s *search) walk(root searchRoot) {
	limit := s.files + root.files
	queue := []directory{{root.path, s.resolve(root.path), 0}}
	for len(queue) > 0 {
		dir := queue[0]
		queue = queue[1:]
		if s.seen[dir.end] {
			continue
		}
		if s.isRemote(dir.end) {
			s.addNotSearched(dir.path, errRemote)
			continue
		}
		s.seen[dir.end] = true
		entries, err := s.tree.Entries(dir.end)
		if err != nil { // missing, or of a user who may not read it
			continue
		}
		if len(entries) > maxEntries {
			s.addNotSearched(dir.path, errSearchLimit)
			entries = entries[:maxEntries]
		}
		for _, entry := range entries {
			file, end := path.Join(dir.path, entry.Name()), path.Join(dir.end, entry.Name())
			if isSkipped(file) {
				continue
			}
			info, end, ok := s.stat(root, entry, end)
			switch {
			case !ok:
			case info.IsDir() && dir.depth < root.depth:
				queue = append(queue, directory{file, end, dir.depth + 1})
			case info.Mode().IsRegular() && !s.seen[end]:
				if s.files >= min(limit, maxSearchedFiles) || s.bytes >= maxSearchedBytes {
					s.addNotSearched(root.path, errSearchLimit)
					return
				}
				s.seen[end] = true
				s.searchFile(root, file, end, info)
			}
		}
	}
}

// stat returns what an entry of a directory is, and the path that it leads to. It is false for a link to a
// directory that has nothing to do with configuration: /, /usr, /proc, /var/log.
func (s *search) stat(root searchRoot, entry fs.DirEntry, file string) (info fs.FileInfo, end string, ok bool) {
	end = file
	isLink := entry.Type()&fs.ModeSymlink != 0
	if isLink {
		end = s.resolve(file)
	}
	if s.isRemote(end) {
		s.addNotSearched(end, errRemote)
		return nil, "", false
	}
	info, err := s.tree.Stat(end)
	if err != nil {
		return nil, "", false
	}
	const deep = 3 // names in a path, from which on it is no directory of the system itself
	if isLink && info.IsDir() && !strings.HasPrefix(end, root.path+"/") && strings.Count(end, "/") < deep {
		return nil, "", false
	}
	isKernel := slices.ContainsFunc([]string{"/proc/", "/sys/", "/dev/", "/usr/share/doc/"}, func(dir string) bool {
		return strings.HasPrefix(end, dir)
	})
	return info, end, !isKernel
}

// searchFile adds the mentions in one file.
func (s *search) searchFile(root searchRoot, file, end string, info fs.FileInfo) {
	s.files++
	if info.Size() > maxSearched || s.known[tree.Place{File: end}] {
		return
	}
	head, err := s.tree.Head(end, headSize)
	isBinary := bytes.IndexByte(head, 0) >= 0 || root.scripts && !bytes.HasPrefix(head, []byte("#!"))
	if s.bytes += len(head); err != nil || isBinary {
		return
	}
	data, err := s.tree.Read(end, maxSearched)
	if s.bytes += len(data); err != nil {
		return
	}
	f := newSearchedFile(root, file, info.Mode()&0o111 != 0, string(data))
	if f.isRun {
		s.programs = append(s.programs, end)
	}
	isNamed := strings.Contains(f.text, "_conntrack") || f.isProxyOption(f.text)
	if !isNamed || isPersisted(f.text) {
		return
	}
	before := len(s.inv.Mentions)
	for number, line := range joinedLines(f.text) {
		if s.known[tree.Place{File: end, Line: number}] || !f.isMention(line) {
			continue
		}
		if n := len(s.inv.Mentions); n-before >= maxFileMentions || n >= maxMentions {
			s.addNotSearched(file, fmt.Errorf("has more than %d lines that name nf_conntrack", n-before))
			return
		}
		m := Mention{Place: tree.Place{File: file, Line: number}, Text: mentionText(line)}
		if f.canWrite(number, line) {
			m.Sets = s.settingsIn(line)
			if !f.isRun && len(m.Sets) > 0 {
				s.pending[file] = append(s.pending[file], len(s.inv.Mentions))
			}
		}
		s.inv.Mentions = append(s.inv.Mentions, m)
	}
}

// confirmPending keeps what a script sets that is not executable only if something that runs names it.
func (s *search) confirmPending() {
	if len(s.pending) == 0 {
		return
	}
	confirmed := map[string]bool{}
	for _, program := range s.programs {
		text, err := s.tree.Read(program, maxSearched)
		for file := range s.pending {
			name := path.Base(file)
			if err == nil && path.Base(program) != name && strings.Contains(string(text), "/"+name) {
				confirmed[file] = true
			}
		}
	}
	for file, mentions := range s.pending {
		for _, i := range mentions {
			if !confirmed[file] {
				s.inv.Mentions[i].Sets = nil
			}
		}
	}
}

// isPersisted reports whether ctkeeper persist wrote a text.
func isPersisted(text string) bool {
	first, rest, _ := strings.Cut(text, "\n")
	second, _, _ := strings.Cut(rest, "\n") // after the #! of a script
	return strings.HasPrefix(first, persistHeader) || strings.HasPrefix(second, persistHeader)
}

// mentionText returns a line, or the part of a long one that names nf_conntrack.
func mentionText(line string) string {
	text := strings.ToValidUTF8(strings.TrimSpace(line), "\uFFFD")
	if len(text) <= maxMentionText {
		return text
	}
	start := 0
	if at := keyPattern.FindStringIndex(text); at != nil {
		start = max(0, at[0]-maxMentionText/3)
	}
	part := text[start:min(len(text), start+maxMentionText)]
	return "…" + strings.ToValidUTF8(part, "") + "…"
}

// settingsIn returns the names of the settings whose key a line has. A key that goes on with a variable or a
// pattern stands for every setting that it could be.
func (s *search) settingsIn(line string) []string {
	var names []string
	if proxyKey.MatchString(line) {
		names = append(names, sysfs.Max, sysfs.Hashsize)
	}
	for _, at := range keyPattern.FindAllStringSubmatchIndex(line, -1) {
		key, after := line[at[2]:at[3]], line[at[3]:]
		dir := "net/netfilter/"
		if strings.HasPrefix(key, "ip_") {
			dir = "net/ipv4/netfilter/"
		}
		isOpen := strings.HasSuffix(key, "_") && after != "" && strings.Contains("$*?{%[<", after[:1])
		switch {
		case isOpen:
			for _, path := range s.matching("net/netfilter/nf_" + key[len("nf_"):] + "*") { // or ip_
				names = append(names, s.settingAt(path))
			}
		case key == kmod.Conntrack:
			if strings.Contains(after, "hashsize") {
				names = append(names, s.settingAt("net/netfilter/nf_conntrack_buckets"))
			}
		default:
			names = append(names, s.settingAt(dir+key))
		}
	}
	slices.Sort(names)
	return slices.DeleteFunc(slices.Compact(names), func(name string) bool { return name == "" })
}

// settingAt returns the name of the setting at a path below /proc/sys that this kernel has, or "".
func (s *search) settingAt(path string) string {
	name, noEffect, ok := s.setting(path)
	isOfCatalogue := !strings.Contains(name, ".")
	if !ok || noEffect != "" || !isOfCatalogue {
		return ""
	}
	return name
}
