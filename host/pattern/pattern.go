package pattern

import (
	"regexp"
	"sync"
)

// Pattern is a regular expression. Its methods are those of regexp.Regexp.
type Pattern struct {
	text     string
	once     sync.Once
	compiled *regexp.Regexp
}

// New returns the pattern of a text. A text that is none panics at its first use; house_test.go compiles the text
// of every call.
func New(text string) *Pattern { return &Pattern{text: text} }

func (p *Pattern) get() *regexp.Regexp {
	p.once.Do(func() { p.compiled = regexp.MustCompile(p.text) })
	return p.compiled
}

// Match is regexp.Regexp.Match.
func (p *Pattern) Match(text []byte) bool { return p.get().Match(text) }

// MatchString is regexp.Regexp.MatchString.
func (p *Pattern) MatchString(text string) bool { return p.get().MatchString(text) }

// FindString is regexp.Regexp.FindString.
func (p *Pattern) FindString(text string) string { return p.get().FindString(text) }

// FindStringIndex is regexp.Regexp.FindStringIndex.
func (p *Pattern) FindStringIndex(text string) []int { return p.get().FindStringIndex(text) }

// FindStringSubmatch is regexp.Regexp.FindStringSubmatch.
func (p *Pattern) FindStringSubmatch(text string) []string { return p.get().FindStringSubmatch(text) }

// FindAllString is regexp.Regexp.FindAllString.
func (p *Pattern) FindAllString(text string, n int) []string { return p.get().FindAllString(text, n) }

// FindAllStringSubmatch is regexp.Regexp.FindAllStringSubmatch.
func (p *Pattern) FindAllStringSubmatch(text string, n int) [][]string {
	return p.get().FindAllStringSubmatch(text, n)
}

// FindAllStringSubmatchIndex is regexp.Regexp.FindAllStringSubmatchIndex.
func (p *Pattern) FindAllStringSubmatchIndex(text string, n int) [][]int {
	return p.get().FindAllStringSubmatchIndex(text, n)
}

// ReplaceAllString is regexp.Regexp.ReplaceAllString.
func (p *Pattern) ReplaceAllString(text, by string) string { return p.get().ReplaceAllString(text, by) }

// ReplaceAllStringFunc is regexp.Regexp.ReplaceAllStringFunc.
func (p *Pattern) ReplaceAllStringFunc(text string, by func(string) string) string {
	return p.get().ReplaceAllStringFunc(text, by)
}
