package document

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// A Document is one Markdown file.
type Document struct {
	File   string
	Host   string // where its commands run: vm, native, tree, or "" where it has none
	Blocks []*Block
	lines  []string
}

// A Block is one fenced block.
type Block struct {
	Line   int      // number of the line with its opening fence
	Info   string   // first word of the info string
	Lines  []string // without the indent of the fence
	Hidden []Step   // commands to run before it
	Path   string   // the file that it is written to, or ""
	NotRun string   // why it is not run, or ""
	Steps  []Step   // the commands of a console block
	indent string
}

// A Step is one command and the output that the document shows.
type Step struct {
	Line    int // number of the line with the command
	Command string
	Output  []string
	first   int // index of the first line of Output in the document
}

// Find returns the documents below a directory: README.md, and the Markdown files in docs and below it.
func Find(dir string) ([]string, error) {
	files := []string{filepath.Join(dir, "README.md")}
	err := filepath.WalkDir(filepath.Join(dir, "docs"), func(file string, _ fs.DirEntry, err error) error {
		if filepath.Ext(file) == ".md" {
			files = append(files, file)
		}
		return err
	})
	return files, err
}

// hosts are the places where commands can run.
const hosts = "vm native tree node"

// Read parses a file.
func Read(file string) (*Document, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	return Parse(file, string(text))
}

// Parse parses the text of a Markdown file. The error names every place that is wrong.
func Parse(file, text string) (*Document, error) {
	d := &Document{File: file, lines: strings.Split(text, "\n")}
	p := parser{Document: d, next: &Block{}}
	for p.at < len(d.lines) {
		p.readLine()
	}
	if p.pending != 0 {
		p.fail(p.pending, "no block follows this comment")
	}
	return d, errors.Join(p.problems...)
}

// Text returns the text of the document's file.
func (d *Document) Text() string { return strings.Join(d.lines, "\n") }

type parser struct {
	*Document
	at       int    // index of the next line
	next     *Block // the block to come, with what comments said of it
	pending  int    // number of the line of a comment about the block to come
	problems []error
}

func (p *parser) fail(line int, format string, args ...any) {
	p.problems = append(p.problems, fmt.Errorf("%s:%d: %s", p.File, line, fmt.Sprintf(format, args...)))
}

func (p *parser) readLine() {
	line := p.lines[p.at]
	text := strings.TrimLeft(line, " ")
	switch {
	case strings.HasPrefix(text, "```"), strings.HasPrefix(text, "~~~"):
		p.readBlock(line[:len(line)-len(text)], text)
	case strings.HasPrefix(text, "<!--"):
		p.readComment(text)
	default:
		p.at++
	}
}

// directive matches a comment that steers; other comments have no word in lower case with a colon.
var directive = regexp.MustCompile(`(?s)^([a-z]+(?: [a-z]+)?):(?:\s+(.*))?$`)

// readComment reads an HTML comment, which may have several lines.
func (p *parser) readComment(line string) {
	number := p.at + 1
	comment := strings.TrimPrefix(line, "<!--")
	for p.at++; !strings.Contains(comment, "-->"); p.at++ {
		if p.at == len(p.lines) {
			p.fail(number, "the comment has no end")
			return
		}
		comment += "\n" + p.lines[p.at]
	}
	comment, _, _ = strings.Cut(comment, "-->")
	comment = strings.TrimSpace(comment)
	found := directive.FindStringSubmatch(comment)
	if found == nil {
		return
	}
	word, rest := found[1], found[2]
	if word == "host" {
		p.setHost(number, rest)
		return
	}
	p.pending = number
	switch word {
	case "hidden", "file", "not run":
		if rest == "" {
			p.fail(number, "nothing follows %q", word+":")
		}
	}
	switch word {
	case "hidden":
		p.next.Hidden = append(p.next.Hidden, Step{Line: number, Command: rest})
	case "file":
		p.next.Path = rest
	case "not run":
		p.next.NotRun = rest
	default:
		p.fail(number, "unknown comment %q, known are host, hidden, file, not run", word)
	}
}

func (p *parser) setHost(number int, host string) {
	switch {
	case !strings.Contains(" "+hosts+" ", " "+host+" "):
		p.fail(number, "unknown host %q, known are %s", host, hosts)
	case p.Host != "":
		p.fail(number, "second host: the commands of a file run on one")
	}
	p.Host = host
}

func (p *parser) readBlock(indent, opening string) {
	b := p.next
	p.next, p.pending = &Block{}, 0
	fence := opening[:len(opening)-len(strings.TrimLeft(opening, opening[:1]))]
	b.Line, b.indent = p.at+1, indent
	b.Info, _, _ = strings.Cut(strings.TrimSpace(opening[len(fence):]), " ")
	p.Blocks = append(p.Blocks, b)
	for p.at++; p.at < len(p.lines); p.at++ {
		line := strings.TrimPrefix(p.lines[p.at], indent)
		if rest, isFence := strings.CutPrefix(line, fence); isFence && strings.Trim(rest, opening[:1]+" ") == "" {
			p.at++
			p.readSteps(b)
			return
		}
		b.Lines = append(b.Lines, line)
	}
	p.fail(b.Line, "the block has no end")
}

func (p *parser) readSteps(b *Block) {
	switch {
	case b.Info != "console" && b.Path == "" && len(b.Hidden) > 0:
		p.fail(b.Line, "hidden commands before a block that is not run")
	case b.NotRun != "" && (len(b.Hidden) > 0 || b.Path != ""):
		p.fail(b.Line, "a block that is not run has no hidden commands and no file")
	case b.Info != "console":
		return
	case b.Path != "":
		p.fail(b.Line, "a console block is not written to a file")
	case p.Host == "" && b.NotRun == "":
		p.fail(b.Line, "the document has no host: it must say where its commands run")
	}
	for i := 0; i < len(b.Lines); {
		command, isCommand := strings.CutPrefix(b.Lines[i], "$ ")
		if !isCommand {
			p.fail(b.Line+1+i, "output before the first command")
			return
		}
		s := Step{Line: b.Line + 1 + i, Command: command}
		i++
		for end := continues(s.Command); end != nil && i < len(b.Lines); i++ {
			s.Command += "\n" + b.Lines[i]
			if end(b.Lines[i]) {
				i++
				break
			}
		}
		s.first = b.Line + i
		for ; i < len(b.Lines) && !strings.HasPrefix(b.Lines[i], "$ "); i++ {
			s.Output = append(s.Output, b.Lines[i])
		}
		b.Steps = append(b.Steps, s)
	}
	if len(b.Steps) == 0 {
		p.fail(b.Line, "no command in a console block")
	}
}

// continues returns what ends a command of several lines, or nil for a command of one line.
func continues(command string) func(line string) bool {
	if _, here, found := strings.Cut(command, "<<"); found {
		word := strings.Trim(strings.Fields(here + " ")[0], `'"-`)
		return func(line string) bool { return line == word }
	}
	if strings.HasSuffix(command, `\`) {
		return func(line string) bool { return !strings.HasSuffix(line, `\`) }
	}
	return nil
}
