package importer

import (
	"strconv"
	"strings"
	"unicode"

	"github.com/ctkeeper/ctkeeper/sysfs"
)

// number writes a number as YAML has it: the kernel takes 0x and a leading 0 for
// octal as well. What is no number stays.
func number(text string) string {
	if strings.Trim(text, "0123456789abcdefABCDEFxX-") != "" {
		return text
	}
	if n, err := strconv.ParseInt(text, 0, 64); err == nil {
		return strconv.FormatInt(n, 10)
	}
	return text
}

// truth writes a bool parameter as 0 or 1 (kstrtobool). What is no truth value
// stays.
func truth(text string) string {
	switch strings.ToLower(text) {
	case "y", "yes", "t", "true", "on":
		return "1"
	case "n", "no", "f", "false", "off", "of":
		return "0"
	}
	return text
}

// policy is a want as YAML has it.
func policy(want sysfs.Want) string {
	if want.Policy == sysfs.Exactly {
		return scalar(want)
	}
	return "{" + string(want.Policy) + ": " + scalar(want) + "}"
}

// scalar is a want's value as YAML has it: text in quotes, and whatever else could
// be taken for something that it is not.
func scalar(want sysfs.Want) string {
	if want.Setting.Kind == sysfs.Text {
		return strconv.QuoteToASCII(want.Value)
	}
	return plainKey(want.Value)
}

// plainKey is a word that YAML takes as it is, or the word in quotes.
func plainKey(word string) string {
	if _, err := strconv.ParseInt(word, 10, 64); err == nil && word[0] == '-' {
		return word
	}
	if word != "" && strings.Trim(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") == "" {
		return word
	}
	return strconv.QuoteToASCII(word)
}

// printable makes text of a file fit for a comment and a terminal.
func printable(text string) string {
	if strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) || r == unicode.ReplacementChar }) {
		return strconv.QuoteToASCII(text)
	}
	return text
}
