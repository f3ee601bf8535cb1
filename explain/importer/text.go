package importer

import (
	"strconv"
	"strings"

	"github.com/ctkeeper/ctkeeper/sysfs"
)

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
