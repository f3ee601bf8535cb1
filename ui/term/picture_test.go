package term

import (
	"fmt"
	"html"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/charmbracelet/x/ansi"
	"github.com/google/go-cmp/cmp"
)

// TestPicture compares the picture of the live view in the documents with what the view shows.
func TestPicture(t *testing.T) {
	const file, width, height = "../../docs/images/terminal.svg", 110, 30
	got := drawSVG(modelAfter(style{colour: true}, width, height, fireMessages()...).View().Content, width, height)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got): run go test ./ui/term -run TestPicture -update\n%s", file, diff)
	}
	for _, text := range []string{"CRITICAL", "contested", "#f47067"} {
		if !strings.Contains(got, text) {
			t.Errorf("no %s in the picture", text)
		}
	}
}

// The size of a character cell, in pixels.
const cellWidth, cellHeight = 8, 17

// colours are those of a dark terminal, by the number in SGR (ECMA-48, 8.3.117).
var colours = map[string]string{"31": "#f47067", "32": "#8ddb8c", "33": "#daaa3f"}

var (
	graphicRendition = regexp.MustCompile(`\x1b\[([0-9;]*)m`)
	// words matches what stands together. SVG makes one blank of several.
	words = regexp.MustCompile(`\S+(?: \S+)*`)
)

// drawSVG draws a screen of a terminal.
func drawSVG(screen string, width, height int) string {
	var svg strings.Builder
	fmt.Fprintf(&svg, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="monospace" `+
		`font-size="13" fill="#d0d7de">`+"\n"+`<rect width="100%%" height="100%%" fill="#1c2128"/>`+
		"\n", width*cellWidth+16, height*cellHeight+16)
	for row, line := range strings.Split(screen, "\n") {
		column, at, attributes := 0, 0, ""
		end := []int{len(line), len(line), 0, 0}
		for _, found := range append(graphicRendition.FindAllStringSubmatchIndex(line, -1), end) {
			text := line[at:found[0]]
			for _, word := range words.FindAllStringIndex(text, -1) {
				shown, x := text[word[0]:word[1]], column+ansi.StringWidth(text[:word[0]])
				fmt.Fprintf(&svg, `<text x="%d" y="%d" textLength="%d"%s>%s</text>`+"\n", 8+x*cellWidth,
					20+row*cellHeight, ansi.StringWidth(shown)*cellWidth, attributes, html.EscapeString(shown))
			}
			column += ansi.StringWidth(text)
			attributes, at = rendition(line[found[2]:found[3]]), found[1]
		}
	}
	return svg.String() + "</svg>\n"
}

// rendition returns the attributes of a text for the parameters of SGR.
func rendition(parameters string) (attributes string) {
	list := strings.Split(parameters, ";")
	if slices.Contains(list, "1") {
		attributes += ` font-weight="bold"`
	}
	if slices.Contains(list, "2") {
		attributes += ` opacity="0.6"`
	}
	for _, number := range list {
		if colour, known := colours[number]; known {
			attributes += ` fill="` + colour + `"`
		}
	}
	return attributes
}
