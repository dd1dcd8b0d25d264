package load

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"unicode/utf8"

	"github.com/parley-im/parley/wire"
)

const (
	textBytes  = 200       // a made-up text
	poolBytes  = 1 << 20   // what made-up texts are cut from
	maxTexts   = 1_000_000 // lines read of a file
	maxLineLen = 64 << 10
)

// texts is what is said: made up, or the lines of a file. Made-up texts are
// words, so that they compress about as text does, and hardly ever repeat.
type texts struct {
	random *rand.Rand
	pool   []byte
	lines  [][]byte // bodies' texts as JSON strings
}

func newTexts(o *Options) (*texts, error) {
	var seed [32]byte
	if _, err := io.ReadFull(o.Rand, seed[:]); err != nil {
		return nil, fmt.Errorf("texts: %w", err)
	}
	t := &texts{random: rand.New(rand.NewChaCha8(seed))}
	if o.Texts != "" {
		return t, t.read(o.Texts)
	}
	// Words of two to nine letters out of a vocabulary of some thousands.
	words := make([][]byte, 4096)
	for i := range words {
		for range 2 + t.random.IntN(8) {
			words[i] = append(words[i], "etaoinshrdlucmfwyp"[t.random.IntN(18)])
		}
	}
	for len(t.pool) < poolBytes {
		t.pool = append(append(t.pool, words[t.random.IntN(len(words))]...), ' ')
	}
	return t, nil
}

// read takes the lines of a file that can be a text.
func (t *texts) read(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return fmt.Errorf("texts: %w", err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, maxLineLen)
	for lines.Scan() && len(t.lines) < maxTexts {
		line := bytes.TrimSpace(lines.Bytes())
		if len(line) == 0 || !utf8.Valid(line) || bytes.IndexByte(line, 0) >= 0 || utf8.RuneCount(line) > wire.MaxTextRunes {
			continue
		}
		text, err := json.Marshal(string(line))
		if err != nil {
			return fmt.Errorf("texts: %w", err)
		}
		t.lines = append(t.lines, text)
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("texts: %s: %w", name, err)
	}
	if len(t.lines) == 0 {
		return fmt.Errorf("texts: %s has no line that can be sent", name)
	}
	return nil
}

// appendBody adds the body of some text to dst, as JSON.
func (t *texts) appendBody(dst []byte) []byte {
	dst = append(dst, `{"type":"text/plain","text":`...)
	if len(t.lines) > 0 {
		return append(append(dst, t.lines[t.random.IntN(len(t.lines))]...), '}')
	}
	at := t.random.IntN(len(t.pool) - textBytes)
	return append(append(append(dst, '"'), t.pool[at:at+textBytes]...), `"}`...)
}

// mean is how long a text is, in bytes, give or take what JSON escapes.
func (t *texts) mean() float64 {
	if len(t.lines) == 0 {
		return textBytes
	}
	sum := 0
	for _, l := range t.lines {
		sum += len(l) - len(`""`)
	}
	return float64(sum) / float64(len(t.lines))
}

// seedOf draws a seed for a choice that need not be secret.
func seedOf(r io.Reader) (uint64, error) {
	var b [8]byte
	if _, err := io.ReadFull(r, b[:]); err != nil {
		return 0, fmt.Errorf("seed: %w", err)
	}
	return binary.LittleEndian.Uint64(b[:]), nil
}
