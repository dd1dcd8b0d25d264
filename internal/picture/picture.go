// Package picture makes pictures that strangers sent safe to keep and to show:
// decoded, cut to a square, scaled, and written anew, so that nothing of the
// file itself is left, neither what it told about its maker nor what it might
// do to a reader.
package picture

import (
	"bytes"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"io"
	"time"

	parley "github.com/parley-im/parley"
	"golang.org/x/image/draw"
	"golang.org/x/image/webp"
)

// Bounds of a picture.
const (
	MaxBytes  = 1 << 20
	MaxSide   = 8192
	MaxPixels = 4_000_000
	MaxOut    = 64 << 10 // bytes of what Square returns
	maxSquare = 512      // the greatest side Square makes
	maxScans  = 64       // passes over a JPEG; cameras make some ten
)

// decoding bounds the memory that decoders have at once: that of two pictures.
var decoding = make(chan struct{}, 2)

// format is one kind of file that is read.
type format struct {
	magic  string // "?" stands for any byte
	config func(io.Reader) (image.Config, error)
	decode func(io.Reader) (image.Image, error)
}

// formats is what is read. Of what moves, the first picture is.
var formats = []format{
	{"\x89PNG\r\n\x1a\n", png.DecodeConfig, png.Decode},
	{"\xff\xd8", jpeg.DecodeConfig, jpeg.Decode},
	{"GIF8?a", gif.DecodeConfig, gif.Decode},
	{"RIFF????WEBPVP8", webp.DecodeConfig, webp.Decode},
}

func formatOf(data []byte) *format {
	for i := range formats {
		if m := formats[i].magic; len(data) >= len(m) && matches(data, m) {
			return &formats[i]
		}
	}
	return nil
}

func matches(data []byte, magic string) bool {
	for i := range len(magic) {
		if magic[i] != '?' && magic[i] != data[i] {
			return false
		}
	}
	return true
}

// Square returns the middle of a picture (PNG, JPEG, WebP, the first of a GIF)
// as a square of side pixels a side, as a JPEG or, where it can be seen
// through, as a PNG, in MaxOut bytes at most. A JPEG is turned as its camera
// says. Codes: too_large above the bounds, by what the header says and before
// anything is decoded; unsupported for what is no picture or a broken one;
// overloaded when two are being decoded already.
func Square(data []byte, side int) (out []byte, mediaType string, err error) {
	const op = "picture.square"
	if side < 1 || side > maxSquare {
		return nil, "", parley.E(parley.Internal, op, "A square has 1 to %d pixels a side.", maxSquare)
	}
	if len(data) > MaxBytes {
		return nil, "", parley.E(parley.TooLarge, op, "A picture has at most %d KiB.", MaxBytes>>10)
	}
	f := formatOf(data)
	if f == nil {
		return nil, "", unreadable(op)
	}
	select {
	case decoding <- struct{}{}:
		defer func() { <-decoding }()
	default:
		e := parley.E(parley.Overloaded, op, "Other pictures are being read. Try again in a moment.")
		e.After = time.Second
		return nil, "", e
	}
	// A decoder that panics has met a file that is broken in a way of its own.
	defer func() {
		if recover() != nil {
			out, mediaType, err = nil, "", unreadable(op)
		}
	}()
	c, err := f.config(bytes.NewReader(data))
	if err != nil || c.Width < 1 || c.Height < 1 || scans(data) > maxScans {
		return nil, "", unreadable(op)
	}
	if c.Width > MaxSide || c.Height > MaxSide || c.Width*c.Height > MaxPixels {
		return nil, "", parley.E(parley.TooLarge, op, "A picture has at most %d million pixels, and %d a side.", MaxPixels/1_000_000, MaxSide)
	}
	m, err := f.decode(bytes.NewReader(data))
	if err != nil || m.Bounds().Empty() {
		return nil, "", unreadable(op)
	}
	square := upright(scaled(m, side), orientation(data))
	out, mediaType, err = encoded(square)
	if err != nil {
		return nil, "", &parley.Error{Code: parley.Internal, Op: op, Err: err}
	}
	return out, mediaType, nil
}

// scans is how many passes over its picture a JPEG may have its decoder make:
// each takes a few bytes and the time of the whole picture.
func scans(data []byte) int {
	if !matches(data, "\xff\xd8") {
		return 0
	}
	return bytes.Count(data, []byte("\xff\xda"))
}

func unreadable(op string) error {
	return parley.E(parley.Unsupported, op, "This is no picture that can be read here. Send a PNG, JPEG, GIF or WebP.")
}

// scaled returns the middle of m, side pixels a side.
func scaled(m image.Image, side int) *image.NRGBA {
	b := m.Bounds()
	n := min(b.Dx(), b.Dy())
	from := image.Rect(0, 0, n, n).Add(b.Min).Add(image.Pt((b.Dx()-n)/2, (b.Dy()-n)/2))
	to := image.NewNRGBA(image.Rect(0, 0, side, side))
	draw.CatmullRom.Scale(to, to.Bounds(), m, from, draw.Src, nil)
	return to
}

// upright turns and mirrors a square as EXIF's orientation o says.
func upright(m *image.NRGBA, o int) *image.NRGBA {
	if o < 2 || o > 8 {
		return m
	}
	n := m.Bounds().Dx()
	to := image.NewNRGBA(m.Bounds())
	for y := range n {
		for x := range n {
			// Where the pixel stands that belongs at x, y.
			fx, fy := x, y
			if o >= 5 {
				fx, fy = fy, fx
			}
			if o == 2 || o == 3 || o == 7 || o == 8 {
				fx = n - 1 - fx
			}
			if o == 3 || o == 4 || o == 6 || o == 7 {
				fy = n - 1 - fy
			}
			copy(to.Pix[to.PixOffset(x, y):][:4], m.Pix[m.PixOffset(fx, fy):][:4])
		}
	}
	return to
}

// encoded writes m: as a PNG if it can be seen through, unless that takes too
// much room, else as a JPEG, as good as there is room for.
func encoded(m *image.NRGBA) ([]byte, string, error) {
	var buf bytes.Buffer
	if !m.Opaque() {
		if err := png.Encode(&buf, m); err != nil {
			return nil, "", err
		}
		if buf.Len() <= MaxOut {
			return buf.Bytes(), "image/png", nil
		}
		m = onWhite(m)
	}
	for quality := 85; ; quality -= 15 {
		buf.Reset()
		if err := jpeg.Encode(&buf, m, &jpeg.Options{Quality: max(quality, 1)}); err != nil {
			return nil, "", err
		}
		if buf.Len() <= MaxOut || quality <= 1 {
			return buf.Bytes(), "image/jpeg", nil
		}
	}
}

func onWhite(m *image.NRGBA) *image.NRGBA {
	to := image.NewNRGBA(m.Bounds())
	draw.Draw(to, to.Bounds(), image.NewUniform(color.White), image.Point{}, draw.Src)
	draw.Draw(to, to.Bounds(), m, image.Point{}, draw.Over)
	return to
}
