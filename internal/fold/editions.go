package fold

import (
	"context"
	"slices"
	"time"

	parley "github.com/parley-im/parley"
)

// Edition is one body that a message had.
type Edition struct {
	Seq  parley.Seq // the message itself, or the edit
	At   time.Time
	Body parley.Body
}

// Editions returns what the message seq said first and with each edit, as of
// r's head; none if it was deleted. It is not_found alike for a number that r
// may not read and for what is no message.
func (f Folder) Editions(ctx context.Context, c parley.ConversationID, r Reader, seq parley.Seq) ([]Edition, error) {
	e, acts, deleted, err := f.message(ctx, c, r, seq)
	if err != nil || deleted {
		return nil, err
	}
	all := []Edition{{Seq: e.Seq, At: e.At, Body: e.Body}}
	var edits []parley.Seq
	for i := range acts {
		if a := &acts[i]; a.Kind == parley.KindEdit && r.counts(a) {
			all = append(all, Edition{Seq: a.Seq, At: a.At})
			edits = append(edits, a.Seq)
		}
	}
	bodies, err := f.bodies(ctx, c, nil, edits)
	if err != nil {
		return nil, err
	}
	for i := range all[1:] {
		ed := &all[i+1]
		if ed.Body = bodies[ed.Seq]; ed.Body.Type == "" {
			return nil, nil // deleted since the acts were read
		}
	}
	return all, nil
}

// message returns the message seq with the acts on it, if r may read it, and
// whether it was deleted.
func (f Folder) message(ctx context.Context, c parley.ConversationID, r Reader, seq parley.Seq) (e parley.Entry, acts []parley.Act, deleted bool, err error) {
	if seq < max(r.Since, 1) || seq > r.Head {
		return e, nil, false, errNoMessage()
	}
	entries, err := f.Log.Read(ctx, c, seq-1, 1)
	if err != nil {
		return e, nil, false, err
	}
	if len(entries) == 0 || entries[0].Kind != parley.KindMessage || entries[0].WithheldFrom(r.User) {
		return e, nil, false, errNoMessage()
	}
	if acts, err = f.Acts.Acts(ctx, c, seq, seq); err != nil {
		return e, nil, false, err
	}
	e = entries[0]
	deleted = slices.ContainsFunc(acts, func(a parley.Act) bool { return a.Kind == parley.KindDelete })
	return e, acts, deleted, nil
}

func errNoMessage() error {
	return parley.E(parley.NotFound, "fold.message", "there is no message with that number that you may read")
}

// near is how far apart two numbers may stand and still be read in one go: a
// read costs about as much as so many entries.
const near = 16

// runs puts numbers, which it sorts, together into the stretches to read them
// in.
func runs(seqs []parley.Seq) []parley.Run {
	slices.Sort(seqs)
	var out []parley.Run
	for _, s := range seqs {
		if n := len(out); n > 0 && s <= out[n-1].To+near {
			out[n-1].To = s
			continue
		}
		out = append(out, parley.Run{From: s, To: s})
	}
	return out
}

// bodies returns the bodies of edits, those in the page from there.
func (f Folder) bodies(ctx context.Context, c parley.ConversationID, page []parley.Entry, edits []parley.Seq) (map[parley.Seq]parley.Body, error) {
	if len(edits) == 0 {
		return nil, nil
	}
	bodies := make(map[parley.Seq]parley.Body, len(edits))
	for i := range page {
		bodies[page[i].Seq] = page[i].Body
	}
	missing := slices.DeleteFunc(slices.Clone(edits), func(s parley.Seq) bool { _, ok := bodies[s]; return ok })
	for _, run := range runs(missing) {
		for after := run.From - 1; after < run.To; {
			entries, err := f.Log.Read(ctx, c, after, int(run.To-after))
			if err != nil {
				return nil, err
			}
			if len(entries) == 0 {
				return nil, parley.E(parley.Internal, "fold.read", "the server could not read its storage; its operator should run parley doctor")
			}
			for i := range entries {
				bodies[entries[i].Seq] = entries[i].Body
			}
			after = entries[len(entries)-1].Seq
		}
	}
	return bodies, nil
}
