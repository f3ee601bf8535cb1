package config

import (
	"bytes"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/ctkeeper/ctkeeper/host/printable"
	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/sysfs"
)

// Show writes c as YAML that loads to the same configuration on the same host. Comments have the
// origin of every value, the number that auto stands for, and the memory that a full table takes.
func (c *Config) Show(w io.Writer) error {
	p := printer{origins: c.Origins}
	p.preamble(c)
	p.settings(c.Wants)
	p.line("module:", "")
	p.key("  load: "+strconv.FormatBool(c.Module.Load), keyModuleLoad)
	if len(c.Module.Parameters) > 0 {
		p.line("  parameters:", "")
	}
	for _, parameter := range c.Module.Parameters {
		p.line("    "+parameter.Name+": "+parameter.Value, parameter.Origin.String())
	}
	p.line("enforcement:", "")
	p.key("  mode: "+string(c.Mode), keyMode)
	p.key("  resync: "+shortDuration(c.Resync), keyResync)
	p.guard(c.Guard)
	if _, err := w.Write(p.Bytes()); err != nil {
		return fmt.Errorf("cannot write the configuration: %w", err)
	}
	return nil
}

// printer writes YAML line by line, each with its comment.
type printer struct {
	bytes.Buffer
	origins map[string]tree.Place
}

// line writes one line, and a comment after it where there is one.
func (p *printer) line(text, comment string) {
	p.WriteString(text)
	if comment != "" {
		p.WriteString("  # " + printable.Line(comment))
	}
	p.WriteString("\n")
}

// key writes one line with the origin of a key.
func (p *printer) key(text, key string) { p.line(text, p.origins[key].String()) }

// list writes a heading and lines below it, all of them comments, if there are any lines.
func (p *printer) list(heading string, lines []string) {
	for i, text := range lines {
		if i == 0 {
			p.line("# "+heading, "")
		}
		p.line("#   "+printable.Line(text), "")
	}
}

func (p *printer) preamble(c *Config) {
	if c.UsesDefault {
		p.line("# No file has settings: the embedded default.", "")
	}
	var hidden []string
	for _, h := range c.Hidden {
		hidden = append(hidden, h.File+": "+h.Why)
	}
	p.list("Read, a later file overrides an earlier one:", c.Files)
	p.list("Not read:", hidden)
	p.list("Warnings:", c.Warnings)
}

func (p *printer) settings(wants []sysfs.Want) {
	if len(wants) == 0 {
		p.line("settings: {}", "")
		return
	}
	p.line("settings:", "")
	for _, w := range wants {
		value := yamlValue(w)
		if w.Policy != sysfs.Exactly {
			value = fmt.Sprintf("{%s: %s}", w.Policy, value)
		}
		p.line("  "+w.Setting.Name+": "+value, comment(w))
	}
}

// guard writes the section, or the mode alone where no unit is allowed.
func (p *printer) guard(g Guard) {
	if len(g.Allow) == 0 {
		p.key("guard: "+string(g.Mode), keyGuardMode)
		return
	}
	p.line("guard:", "")
	p.key("  mode: "+string(g.Mode), keyGuardMode)
	p.key("  allow:", keyGuardAllow)
	for _, unit := range g.Allow {
		p.line("    - "+unit, "") // needs no quotes: see unitChars
	}
}

// yamlValue returns a want's value as a configuration has it.
func yamlValue(w sysfs.Want) string {
	switch {
	case w.Auto:
		return auto
	case w.Setting.Kind == sysfs.Text:
		return strconv.Quote(w.Value.String())
	case w.Setting.Kind == sysfs.Bool:
		return strconv.FormatBool(w.Value == sysfs.Number(1))
	}
	return w.Value.String()
}

// comment returns a want's origin, and what its value means in other units.
func comment(w sysfs.Want) string {
	parts := []string{w.Origin.String()}
	if w.Auto {
		parts = append(parts, "auto is "+w.Value.String())
	}
	if n, ok := w.Value.Int(); ok && w.Setting.Kind == sysfs.Seconds && n >= 60 {
		parts = append(parts, shortDuration(time.Duration(n)*time.Second))
	}
	if cost := w.MemoryBytes(); cost > 0 {
		upTo := "up to "
		if w.Setting.Name == sysfs.Hashsize {
			upTo = ""
		}
		parts = append(parts, upTo+FormatBytes(cost)+" of memory")
	}
	return strings.Join(parts, ", ")
}
