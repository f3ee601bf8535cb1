package config

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/ctkeeper/ctkeeper/sysfs"
)

// Show writes c as YAML that loads to the same configuration on the same host,
// with the origin of every value, the number that auto came to, and the memory
// that a full table takes in comments.
func (c *Config) Show(w io.Writer) error {
	var p printer
	p.preamble(c)
	p.settings(c.Wants)
	p.line("module:", "")
	p.line("  load: "+strconv.FormatBool(c.Module.Load), c.Origins[keyModuleLoad].String())
	if len(c.Module.Parameters) > 0 {
		p.line("  parameters:", "")
	}
	for _, parameter := range c.Module.Parameters {
		p.line("    "+parameter.Name+": "+parameter.Value, parameter.Origin.String())
	}
	p.line("enforcement:", "")
	p.line("  mode: "+string(c.Mode), c.Origins[keyMode].String())
	p.line("  resync: "+shortDuration(c.Resync), c.Origins[keyResync].String())
	p.guard(c)
	p.line("metrics:", "")
	p.line("  listen: "+strconv.Quote(c.Metrics.Listen), c.Origins[keyMetricsListen].String())
	p.line("  web_config: "+strconv.Quote(c.Metrics.WebConfig), c.Origins[keyMetricsWebConfig].String())
	p.line("  textfile: "+strconv.Quote(c.Metrics.Textfile), c.Origins[keyMetricsTextfile].String())
	if _, err := w.Write(p.Bytes()); err != nil {
		return fmt.Errorf("cannot write the configuration: %w", err)
	}
	return nil
}

// printer writes YAML line by line, each with its comment.
type printer struct{ bytes.Buffer }

// line writes one line and, where there is one, a comment after it.
func (p *printer) line(text, comment string) {
	p.WriteString(text)
	if comment != "" {
		p.WriteString("  # " + printable(comment))
	}
	p.WriteString("\n")
}

// printable keeps a file's odd name from ending the comment that it stands in.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if !strconv.IsPrint(r) {
			return '?'
		}
		return r
	}, text)
}

func (p *printer) preamble(c *Config) {
	if len(c.Files) == 0 && len(c.Hidden) == 0 {
		p.line("# No file: the embedded default.", "")
	}
	for i, file := range c.Files {
		if i == 0 {
			p.line("# Read, the later wins:", "")
		}
		p.line("#   "+printable(file), "")
	}
	for i, hidden := range c.Hidden {
		if i == 0 {
			p.line("# Not read:", "")
		}
		p.line("#   "+printable(hidden.File+": "+hidden.Why), "")
	}
	for i, warning := range c.Warnings {
		if i == 0 {
			p.line("# Warnings:", "")
		}
		p.line("#   "+printable(warning), "")
	}
}

func (p *printer) settings(wants []sysfs.Want) {
	if len(wants) == 0 {
		p.line("settings: {}", "")
		return
	}
	p.line("settings:", "")
	for _, w := range wants {
		value := written(w)
		if w.Policy != sysfs.Exactly {
			value = fmt.Sprintf("{%s: %s}", w.Policy, value)
		}
		p.line("  "+w.Setting.Name+": "+value, remark(w))
	}
}

// guard writes the mode alone where there is nothing else to say.
func (p *printer) guard(c *Config) {
	if len(c.Guard.Allow) == 0 {
		p.line("guard: "+string(c.Guard.Mode), c.Origins[keyGuardMode].String())
		return
	}
	p.line("guard:", "")
	p.line("  mode: "+string(c.Guard.Mode), c.Origins[keyGuardMode].String())
	p.line("  allow:", c.Origins[keyGuardAllow].String())
	for _, unit := range c.Guard.Allow {
		p.line("    - "+unit, "") // needs no quotes: see unitChars
	}
}

// written is a want's value as a configuration writes it.
func written(w sysfs.Want) string {
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

// remark says where a want is from and what it comes to.
func remark(w sysfs.Want) string {
	parts := []string{w.Origin.String()}
	if w.Auto {
		parts = append(parts, "auto is "+w.Value.String())
	}
	if n, ok := w.Value.Int(); ok && w.Setting.Kind == sysfs.Seconds && n >= 60 {
		parts = append(parts, shortDuration(time.Duration(n)*time.Second))
	}
	if cost := w.MemoryBytes(); cost > 0 {
		upTo := "up to "
		if w.Setting.Name == nameHashsize {
			upTo = ""
		}
		parts = append(parts, upTo+FormatBytes(cost)+" of memory")
	}
	return strings.Join(parts, ", ")
}

// Fingerprint is equal for two configurations that ask for the same, wherever
// their values come from: where it is the same after a reload, there is nothing
// to say.
func (c *Config) Fingerprint() string {
	sum := sha256.New()
	for _, w := range c.Wants {
		fmt.Fprintf(sum, "%s %s %q\n", w.Setting.Name, w.Policy, w.Value.String())
	}
	for _, p := range c.Module.Parameters {
		fmt.Fprintf(sum, "parameter %s %q\n", p.Name, p.Value)
	}
	fmt.Fprintf(sum, "%t %s %s %s %q %q\n", c.Module.Load, c.Mode, c.Resync, c.Guard.Mode, c.Guard.Allow, c.Metrics)
	return hex.EncodeToString(sum.Sum(nil))
}
