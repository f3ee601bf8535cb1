package importer

import (
	"strconv"
	"strings"
	"unicode"

	"github.com/ctkeeper/ctkeeper/sysfs"
)

// number converts a number to decimal: the kernel also reads 0x as hexadecimal and a leading 0 as
// octal. It returns other text unchanged.
func number(text string) string {
	if strings.Trim(text, "0123456789abcdefABCDEFxX-") != "" {
		return text
	}
	if n, err := strconv.ParseInt(text, 0, 64); err == nil {
		return strconv.FormatInt(n, 10)
	}
	return text
}

// boolDigit converts a bool parameter to 0 or 1, by the rules of kstrtobool. It returns other text
// unchanged.
func boolDigit(text string) string {
	switch strings.ToLower(text) {
	case "y", "yes", "t", "true", "on":
		return "1"
	case "n", "no", "f", "false", "off", "of":
		return "0"
	}
	return text
}

// policy returns a want as YAML.
func policy(want sysfs.Want) string {
	if want.Policy == sysfs.Exactly {
		return scalar(want)
	}
	return "{" + string(want.Policy) + ": " + scalar(want) + "}"
}

// scalar returns the value of a want as YAML. Text is quoted.
func scalar(want sysfs.Want) string {
	if want.Setting.Kind == sysfs.Text {
		return strconv.QuoteToASCII(want.Value.String())
	}
	return plain(want.Value.String())
}

// plain returns a word as YAML: quoted, unless YAML reads it as that very word.
func plain(word string) string {
	if _, err := strconv.ParseInt(word, 10, 64); err == nil && word[0] == '-' {
		return word
	}
	if word != "" && strings.Trim(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") == "" {
		return word
	}
	return strconv.QuoteToASCII(word)
}

// printable returns text for a comment and a terminal: quoted, if it has control characters.
func printable(text string) string {
	if strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) || r == unicode.ReplacementChar }) {
		return strconv.QuoteToASCII(text)
	}
	return text
}
