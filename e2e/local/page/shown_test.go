package page_test

import (
	"bytes"
	"flag"
	"image"
	"image/color"
	"image/png"
	"maps"
	"os"
	"slices"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/ctkeeper/ctkeeper/ui/page"
)

var update = flag.Bool("update", false, "rewrite the picture in the documents")

const (
	shownFile    = "../../../docs/images/page.png"
	shownWidth   = 1280
	shownHeight  = 800
	shownSize    = 200_000 // bytes
	maxDifferent = 0.1     // share of the parts of the picture
)

// TestShownPicture compares the picture of the page in the documents with the page. Fonts differ between machines, and
// the page has the time; so it compares how bright small parts of the two are.
func TestShownPicture(t *testing.T) {
	t.Parallel()
	got := shoot(t, onFire())
	if *update {
		var small bytes.Buffer
		encoder := png.Encoder{CompressionLevel: png.BestCompression}
		if err := encoder.Encode(&small, quantise(got)); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(shownFile, small.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, size := shown(t)
	if size > shownSize {
		t.Errorf("%s has %d bytes, at most %d", shownFile, size, shownSize)
	}
	if want.Bounds() != got.Bounds() {
		t.Fatalf("%s is %v, the page %v", shownFile, want.Bounds(), got.Bounds())
	}
	if share := different(want, got); share > maxDifferent {
		t.Errorf("%.0f %% of %s differ from the page: run go -C e2e/local test ./page -run TestShownPicture -update",
			100*share, shownFile)
	}
}

// shoot returns a picture of a host's page.
func shoot(t *testing.T, h *host) image.Image {
	t.Helper()
	address, _ := serveAt(t, "", page.Handler(h, "/metrics"))
	b := openTab(t, chromium(t), shownWidth, shownHeight)
	b.open("http://" + address)
	b.prefers("light")
	shot, err := chromedp.Run(b.ctx, chromedp.CaptureScreenshot())
	if err != nil {
		t.Fatal(err)
	}
	return decodePNG(t, shot)
}

// shown returns the picture in the documents and the size of its file.
func shown(t *testing.T) (image.Image, int) {
	t.Helper()
	file, err := os.ReadFile(shownFile)
	if err != nil {
		t.Fatal(err)
	}
	return decodePNG(t, file), len(file)
}

func decodePNG(t *testing.T, file []byte) image.Image {
	t.Helper()
	picture, err := png.Decode(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	return picture
}

// quantise returns a picture with its 256 most frequent colours; every other one becomes the nearest of them.
func quantise(picture image.Image) image.Image {
	count := map[color.Color]int{}
	bounds := picture.Bounds()
	for y := bounds.Min.Y; y < bounds.Max.Y; y++ {
		for x := bounds.Min.X; x < bounds.Max.X; x++ {
			count[picture.At(x, y)]++
		}
	}
	palette := slices.SortedFunc(maps.Keys(count), func(a, b color.Color) int { return count[b] - count[a] })
	quantised := image.NewPaletted(bounds, palette[:min(256, len(palette))])
	for y := bounds.Min.Y; y < bounds.Max.Y; y++ {
		for x := bounds.Min.X; x < bounds.Max.X; x++ {
			quantised.Set(x, y, picture.At(x, y))
		}
	}
	return quantised
}

// different returns the share of the squares of two pictures whose mean brightness differs clearly.
func different(a, b image.Image) float64 {
	const side, clearly = 20, 16
	count, all := 0, 0
	for y := 0; y+side <= a.Bounds().Dy(); y += side {
		for x := 0; x+side <= a.Bounds().Dx(); x += side {
			square := image.Rect(x, y, x+side, y+side)
			if d := brightness(a, square) - brightness(b, square); d < -clearly || d > clearly {
				count++
			}
			all++
		}
	}
	return float64(count) / float64(all)
}

// brightness returns the mean brightness of a part of a picture, from 0 to 255.
func brightness(picture image.Image, part image.Rectangle) int {
	sum := 0
	for y := part.Min.Y; y < part.Max.Y; y++ {
		for x := part.Min.X; x < part.Max.X; x++ {
			sum += int(color.GrayModel.Convert(picture.At(x, y)).(color.Gray).Y)
		}
	}
	return sum / (part.Dx() * part.Dy())
}

// TestDifferent: the picture of another host differs from that of the documents.
func TestDifferent(t *testing.T) {
	t.Parallel()
	want, _ := shown(t)
	share := different(want, shoot(t, healthy()))
	t.Logf("%.0f %% differ", 100*share)
	if share <= maxDifferent {
		t.Error("another host is not told from that of the documents")
	}
}
