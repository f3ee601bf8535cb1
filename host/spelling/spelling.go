package spelling

import "strings"

// maxLength limits the words that are compared: no known word is near a longer one.
const maxLength = 64

// Nearest returns the known word that is most like a misspelt one, and the empty string where none is near: with more
// than one change in three letters, or more than three.
func Nearest(word string, known []string) string {
	best, least := "", 1+max(1, min(3, len(word)/3))
	if len(word) > maxLength {
		return ""
	}
	for _, candidate := range known {
		if n := distance(strings.ToLower(word), candidate); n < least {
			best, least = candidate, n
		}
	}
	return best
}

// distance returns the number of changes between a and b: a letter more, less or other, or two neighbours exchanged
// (optimal string alignment).
func distance(a, b string) int {
	var before []int // the row of a[:i-1]
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		next := make([]int, len(b)+1)
		next[0] = i + 1
		for j := range len(b) {
			change := row[j]
			if a[i] != b[j] {
				change++
			}
			next[j+1] = min(change, row[j+1]+1, next[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				next[j+1] = min(next[j+1], before[j-1]+1)
			}
		}
		before, row = row, next
	}
	return row[len(b)]
}
