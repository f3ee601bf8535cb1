package finding

import (
	"slices"
	"strings"

	"github.com/ctkeeper/ctkeeper/host/tree"
)

// Places returns where evidence is.
func Places(list []Evidence) []tree.Place {
	var places []tree.Place
	for _, e := range list {
		places = append(places, e.Place)
	}
	return places
}

// Unique returns the values without repetitions, in the order of their first occurrence.
func Unique[T comparable](values []T) []T {
	var unique []T
	for _, value := range values {
		if !slices.Contains(unique, value) {
			unique = append(unique, value)
		}
	}
	return unique
}

// List returns "a", "a and b", "a, b and c".
func List(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " and " + words[last]
}

// JoinNotes joins the notes that are not empty.
func JoinNotes(notes ...string) string {
	return strings.Join(slices.DeleteFunc(notes, func(note string) bool { return note == "" }), " ")
}
