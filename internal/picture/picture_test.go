package picture

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"

	"github.com/parley-im/parley"
)

const side = 64

// quarters is a picture whose quarters are red, green, blue and white.
func quarters(w, h int) *image.NRGBA {
	m := image.NewNRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			m.SetNRGBA(x, y, palette[2*(2*y/h)+2*x/w])
		}
	}
	return m
}

var palette = [4]color.NRGBA{{255, 0, 0, 255}, {0, 255, 0, 255}, {0, 0, 255, 255}, {255, 255, 255, 255}}

// corners are the indexes into palette of a square's quarters, by the nearest
// colour: upper left, upper right, lower left, lower right.
func corners(m image.Image) (at [4]int) {
	b := m.Bounds()
	for i := range at {
		x, y := b.Min.X+b.Dx()/4+i%2*b.Dx()/2, b.Min.Y+b.Dy()/4+i/2*b.Dy()/2
		r, g, bl, _ := m.At(x, y).RGBA()
		switch {
		case g > 0x8000 && r > 0x8000:
			at[i] = 3
		case g > 0x8000:
			at[i] = 1
		case bl > 0x8000:
			at[i] = 2
		}
	}
	return at
}

func pngOf(t testing.TB, m image.Image) []byte {
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func jpegOf(t testing.TB, m image.Image) []byte {
	var b bytes.Buffer
	if err := jpeg.Encode(&b, m, nil); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func gifOf(t testing.TB, m image.Image) []byte {
	var b bytes.Buffer
	if err := gif.Encode(&b, m, nil); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func stored(t testing.TB, name string) []byte {
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// square is Square of what must be a picture.
func square(t testing.TB, data []byte, side int) (image.Image, []byte, string) {
	t.Helper()
	out, mediaType, err := Square(data, side)
	if err != nil {
		t.Fatal(err)
	}
	m, kind, err := image.Decode(bytes.NewReader(out))
	if err != nil || "image/"+kind != mediaType || m.Bounds().Dx() != side || m.Bounds().Dy() != side || len(out) > MaxOut {
		t.Fatalf("%s, %s, %v, %v, %d bytes", mediaType, kind, err, m.Bounds(), len(out))
	}
	return m, out, mediaType
}

func TestFormats(t *testing.T) {
	wide, high, tiny := quarters(300, 100), quarters(90, 500), quarters(2, 2)
	for name, data := range map[string][]byte{
		"png": pngOf(t, wide), "high png": pngOf(t, high), "tiny png": pngOf(t, tiny),
		"jpeg": jpegOf(t, wide), "gif": gifOf(t, wide),
	} {
		m, _, mediaType := square(t, data, side)
		if got := corners(m); got != [4]int{0, 1, 2, 3} || mediaType != "image/jpeg" {
			t.Errorf("%s: %v, %s", name, got, mediaType)
		}
	}
	for _, name := range []string{"blue-purple-pink.lossless.webp", "blue-purple-pink.lossy.webp"} {
		if _, _, mediaType := square(t, stored(t, name), 256); mediaType != "image/jpeg" {
			t.Errorf("%s: %s", name, mediaType)
		}
	}
	m, _, mediaType := square(t, stored(t, "yellow_rose.lossy-with-alpha.webp"), 96)
	if _, _, _, a := m.At(0, 0).RGBA(); mediaType != "image/png" || a != 0 {
		t.Errorf("%s, alpha %d", mediaType, a)
	}
}

// Of what moves the first picture is shown.
func TestFirstOfMany(t *testing.T) {
	first := image.NewPaletted(image.Rect(0, 0, 40, 40), color.Palette{palette[1], palette[2]})
	second := image.NewPaletted(first.Rect, first.Palette)
	for i := range second.Pix {
		second.Pix[i] = 1
	}
	var b bytes.Buffer
	if err := gif.EncodeAll(&b, &gif.GIF{Image: []*image.Paletted{first, second}, Delay: []int{1, 1}}); err != nil {
		t.Fatal(err)
	}
	if m, _, _ := square(t, b.Bytes(), side); corners(m) != [4]int{1, 1, 1, 1} {
		t.Error(corners(m))
	}
}

// The middle is kept, not squeezed.
func TestMiddle(t *testing.T) {
	m := image.NewNRGBA(image.Rect(0, 0, 300, 100))
	for i := range m.Pix {
		m.Pix[i] = 255 // white
	}
	for y := range 100 {
		for x := 100; x < 200; x++ {
			m.SetNRGBA(x, y, palette[2])
		}
	}
	if m, _, _ := square(t, pngOf(t, m), side); corners(m) != [4]int{2, 2, 2, 2} {
		t.Error(corners(m))
	}
}

// exif is an APP1 segment that says an orientation, and a place.
func exif(order binary.AppendByteOrder, o uint16) []byte {
	tiff := []byte("II*\x00")
	if order.AppendUint16(nil, 1)[0] == 0 {
		tiff = []byte("MM\x00*")
	}
	tiff = order.AppendUint32(tiff, 8)
	tiff = order.AppendUint16(tiff, 2)
	tiff = append(order.AppendUint32(order.AppendUint16(order.AppendUint16(tiff, 0x010e), 2), 4), "Home"...)
	tiff = order.AppendUint32(order.AppendUint16(order.AppendUint16(tiff, 0x0112), 3), 1)
	tiff = order.AppendUint16(order.AppendUint16(tiff, o), 0)
	body := append([]byte("Exif\x00\x00"), tiff...)
	return append(binary.BigEndian.AppendUint16([]byte{0xff, 0xe1}, uint16(len(body)+2)), body...)
}

// A photograph is shown the way it was taken, whichever way the camera was
// held; and where it was taken is not told. It kills a decoder that forgets
// the orientation, and a file that is passed on.
func TestOrientationAndNothingElse(t *testing.T) {
	want := map[uint16][4]int{
		1: {0, 1, 2, 3}, 2: {1, 0, 3, 2}, 3: {3, 2, 1, 0}, 4: {2, 3, 0, 1},
		5: {0, 2, 1, 3}, 6: {2, 0, 3, 1}, 7: {3, 1, 2, 0}, 8: {1, 3, 0, 2},
		0: {0, 1, 2, 3}, 9: {0, 1, 2, 3},
	}
	plain := jpegOf(t, quarters(160, 160))
	for o, want := range want {
		for _, order := range []binary.AppendByteOrder{binary.LittleEndian, binary.BigEndian} {
			data := append(append(bytes.Clone(plain[:2]), exif(order, o)...), plain[2:]...)
			if !bytes.Contains(data, []byte("Home")) {
				t.Fatal("nothing to leave out")
			}
			m, out, _ := square(t, data, side)
			if got := corners(m); got != want {
				t.Errorf("orientation %d: %v, want %v", o, got, want)
			}
			if bytes.Contains(out, []byte("Exif")) || bytes.Contains(out, []byte("Home")) {
				t.Errorf("orientation %d: metadata passes", o)
			}
		}
	}
}

// chunk is one chunk of a PNG.
func chunk(name string, body []byte) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(len(body)))
	b = append(append(b, name...), body...)
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b[4:]))
}

// pngSaying is a PNG of one colour whose header says w by h and that has rows
// for h of them, made larger to size bytes.
func pngSaying(t testing.TB, w, h, rows, size int) []byte {
	head := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, uint32(w)), uint32(h))
	head = append(head, 1, 0, 0, 0, 0) // one bit of grey
	var idat bytes.Buffer
	z, err := zlib.NewWriterLevel(&idat, zlib.BestSpeed)
	if err != nil {
		t.Fatal(err)
	}
	row := make([]byte, 1+(w+7)/8)
	for range rows {
		if _, err := z.Write(row); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	b := append([]byte("\x89PNG\r\n\x1a\n"), chunk("IHDR", head)...)
	end := append(chunk("IDAT", idat.Bytes()), chunk("IEND", nil)...)
	if room := size - len(b) - len(end) - 12; room > 0 {
		b = append(b, chunk("tEXt", append([]byte("Comment\x00"), bytes.Repeat([]byte("x"), room-8)...))...)
	}
	return append(b, end...)
}

// allocated is how many bytes do allocates, freed since or not.
func allocated(do func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	do()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// A picture of 144 million pixels in 500 KB is refused by its header. It kills
// a decoder that is asked first and measured afterwards.
func TestBombsAreNotDecoded(t *testing.T) {
	bomb := pngSaying(t, 12_000, 12_000, 12_000, 500_000)
	if len(bomb) != 500_000 {
		t.Fatal(len(bomb))
	}
	if c, err := png.DecodeConfig(bytes.NewReader(bomb)); err != nil || c.Width != 12_000 {
		t.Fatal("no bomb:", c, err)
	}
	bombs := map[string][]byte{
		"500 KB":       bomb,
		"a long side":  pngSaying(t, MaxSide+1, 1, 1, 0),
		"a high one":   pngSaying(t, 1, MaxSide+1, MaxSide+1, 0),
		"a pixel more": pngSaying(t, 2001, 2000, 2000, 0),
		"the greatest": pngSaying(t, 1<<31-1, 1, 1, 0),
		"too long":     make([]byte, MaxBytes+1),
		"a gif":        []byte("GIF89a\xff\xff\xff\xff\x00\x00\x00"),
	}
	for name, data := range bombs {
		var err error
		n := allocated(func() { _, _, err = Square(data, 256) })
		if parley.CodeOf(err) != parley.TooLarge || n > 64<<10 {
			t.Errorf("%s: %v, %d bytes allocated", name, err, n)
		}
	}
	square(t, pngSaying(t, MaxSide, 488, 488, 0), side) // all but the greatest that may be
}

func TestNoPictures(t *testing.T) {
	whole := pngOf(t, quarters(100, 100))
	photo := jpegOf(t, quarters(100, 100))
	rose := stored(t, "yellow_rose.lossy-with-alpha.webp")
	for name, data := range map[string][]byte{
		"nothing": nil, "text": []byte("hello"), "HTML": []byte("<svg xmlns='http://www.w3.org/2000/svg'/>"),
		"a PDF": []byte("%PDF-1.7\n"), "a BMP": []byte("BM\x00\x00"), "a WAV": []byte("RIFF\x00\x00\x00\x00WAVEfmt "),
		"half a PNG": whole[:len(whole)/2], "the head of a PNG": whole[:33], "the magic of a PNG": whole[:8],
		"half a JPEG": photo[:len(photo)/2], "the magic of a JPEG": photo[:2], "half a WebP": rose[:len(rose)/2],
		"a flat PNG": pngSaying(t, 0, 10, 10, 0), "a PNG of few rows": pngSaying(t, 100, 100, 50, 0),
		"a JPEG with too many scans": append(bytes.Clone(photo), bytes.Repeat([]byte("\xff\xda\x00\x02"), maxScans)...),
	} {
		out, mediaType, err := Square(data, side)
		if parley.CodeOf(err) != parley.Unsupported || out != nil || mediaType != "" {
			t.Errorf("%s: %d bytes, %q, %v", name, len(out), mediaType, err)
		}
	}
	for _, n := range []int{0, -1, maxSquare + 1} {
		if _, _, err := Square(whole, n); parley.CodeOf(err) != parley.Internal {
			t.Errorf("%d a side: %v", n, err)
		}
	}
}

// noise compresses badly.
func noise(seed uint64, see bool) *image.NRGBA {
	m, r := image.NewNRGBA(image.Rect(0, 0, 256, 256)), rand.New(rand.NewPCG(seed, 0))
	for i := range m.Pix {
		if m.Pix[i] = byte(r.Uint32()); !see && i%4 == 3 {
			m.Pix[i] = 255
		}
	}
	return m
}

// What comes out takes no more than its room, whatever goes in.
func TestRoom(t *testing.T) {
	for seed := range uint64(2) {
		for _, see := range []bool{false, true} {
			if _, _, mediaType := square(t, pngOf(t, noise(seed, see)), 256); mediaType != "image/jpeg" {
				t.Error(mediaType)
			}
		}
	}
	// A few colours that can be seen through keep being so.
	m := quarters(256, 256)
	for i := 3; i < len(m.Pix)/2; i += 4 {
		m.Pix[i] = 0
	}
	got, _, mediaType := square(t, pngOf(t, m), 256)
	if _, _, _, a := got.At(10, 10).RGBA(); mediaType != "image/png" || a != 0 {
		t.Errorf("%s, alpha %d", mediaType, a)
	}
}

// Two at once and no more; the third is told to come again. It kills a decoder
// that takes all comers.
func TestTwoAtOnce(t *testing.T) {
	data := pngOf(t, quarters(100, 100))
	decoding <- struct{}{}
	square(t, data, side)
	decoding <- struct{}{}
	_, _, err := Square(data, side)
	if parley.CodeOf(err) != parley.Overloaded {
		t.Error(err)
	}
	<-decoding
	<-decoding
	// Also after what is refused, or panics, both places are free again.
	for range 3 {
		_, _, _ = Square(data[:len(data)/2], side)
		formats = append(formats, format{"boom", formats[0].config, func(io.Reader) (image.Image, error) { panic("boom") }})
		boom := append([]byte("boom"), data...)
		formats[len(formats)-1].config = func(io.Reader) (image.Config, error) { return image.Config{Width: 1, Height: 1}, nil }
		if _, _, err := Square(boom, side); parley.CodeOf(err) != parley.Unsupported {
			t.Error(err)
		}
		formats = formats[:len(formats)-1]
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if _, _, err := Square(data, side); err != nil && parley.CodeOf(err) != parley.Overloaded {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	square(t, data, side)
}

func FuzzSquare(f *testing.F) {
	for _, n := range []int{1, 7, 40} {
		m := quarters(n, n)
		f.Add(pngOf(f, m))
		f.Add(jpegOf(f, m))
		f.Add(gifOf(f, m))
		photo := jpegOf(f, m)
		f.Add(append(append(bytes.Clone(photo[:2]), exif(binary.BigEndian, 6)...), photo[2:]...))
	}
	for _, name := range []string{"blue-purple-pink.lossless.webp", "blue-purple-pink.lossy.webp", "yellow_rose.lossy-with-alpha.webp"} {
		f.Add(stored(f, name))
	}
	f.Add(pngSaying(f, 12_000, 12_000, 1, 0))
	f.Fuzz(func(t *testing.T, data []byte) {
		out, mediaType, err := Square(data, 16)
		switch parley.CodeOf(err) {
		case "":
			if c, kind, err := image.DecodeConfig(bytes.NewReader(out)); err != nil || "image/"+kind != mediaType || c.Width != 16 || c.Height != 16 {
				t.Fatal(fmt.Sprint(c, kind, err))
			}
		case parley.TooLarge, parley.Unsupported, parley.Overloaded:
		default:
			t.Fatal(err)
		}
	})
}
