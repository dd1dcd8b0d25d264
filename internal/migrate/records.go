package migrate

import (
	"bytes"
	"context"
	"maps"
	"slices"

	"github.com/parley-im/parley/internal/store"
)

// records copies every partition of records, and empties those of the target
// that the source has no more.
func (p *pass) records(ctx context.Context) error {
	if err := each(ctx, p.cfg.Workers, p.from.Partitions, p.partition); err != nil {
		return err
	}
	// The first pass asks the target, which may have some of an earlier,
	// interrupted copy. From then on all are remembered.
	list := p.cfg.To.Partitions
	if p.listed {
		list = p.remembered
	}
	err := each(ctx, p.cfg.Workers, list, func(ctx context.Context, name string) error {
		if stays(name) || p.seen(name) {
			return nil
		}
		want, err := records(ctx, p.from, name)
		if err != nil {
			return err
		}
		return p.copyPartition(ctx, name, want)
	})
	p.listed = p.listed || err == nil
	return err
}

// remembered lists the partitions that earlier passes brought, ascending.
func (p *pass) remembered(_ context.Context, after string, limit int) ([]string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.names == nil {
		p.names = slices.Sorted(maps.Keys(p.partitions))
	}
	i, found := slices.BinarySearch(p.names, after)
	if found {
		i++
	}
	return p.names[i:min(i+limit, len(p.names))], nil
}

// seen reports whether this pass came across a partition of the source.
func (p *pass) seen(name string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.met[name]
}

func (p *pass) partition(ctx context.Context, name string) error {
	if stays(name) {
		return nil
	}
	want, err := records(ctx, p.from, name)
	if err != nil {
		return err
	}
	p.meter.done(Counts{Partitions: 1, Records: uint64(len(want))})
	p.mu.Lock()
	had, known := p.partitions[name]
	p.met[name] = true
	p.mu.Unlock()
	if known && had.sum == sumRecords(want) {
		return nil
	}
	return p.copyPartition(ctx, name, want)
}

// copyPartition makes a partition of the target hold exactly want, and reads
// it again.
func (p *pass) copyPartition(ctx context.Context, name string, want []store.Record) error {
	err := retry(ctx, "copy records", func() (bool, error) { return p.change(ctx, name, want) })
	if err != nil {
		return err
	}
	there, err := records(ctx, p.cfg.To, name)
	if err != nil {
		return err
	}
	sum := sumRecords(want)
	if sumRecords(there) != sum {
		return differs("a partition of records")
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(want) == 0 {
		delete(p.partitions, name)
	} else {
		p.partitions[name] = reachedRecords{records: len(want), sum: sum}
	}
	return nil
}

// change writes what a partition of the target lacks of want.
func (p *pass) change(ctx context.Context, name string, want []store.Record) (moved bool, err error) {
	there, err := records(ctx, p.cfg.To, name)
	if err != nil {
		return false, err
	}
	for changes := changesFor(there, want); len(changes) > 0; moved = true {
		n, size := 0, 0
		for n < len(changes) && n < changesAtOnce && (n == 0 || size+len(changes[n].Value) <= valuesAtOnce) {
			size += len(changes[n].Value)
			n++
		}
		if err := p.cfg.To.CommitRecords(ctx, name, changes[:n]); err != nil {
			return moved, err
		}
		changes = changes[n:]
	}
	return moved, nil
}

// changesFor returns what turns the records there are into those wanted. Both
// are ascending by key.
func changesFor(there, want []store.Record) []store.Change {
	var out []store.Change
	for len(there) > 0 || len(want) > 0 {
		switch {
		case len(want) == 0 || len(there) > 0 && there[0].Key < want[0].Key:
			out = append(out, store.Change{Key: there[0].Key, Version: there[0].Version, Remove: true})
			there = there[1:]
		case len(there) == 0 || want[0].Key < there[0].Key:
			out = append(out, store.Change{Key: want[0].Key, Value: want[0].Value})
			want = want[1:]
		default:
			if !bytes.Equal(there[0].Value, want[0].Value) {
				out = append(out, store.Change{Key: want[0].Key, Version: there[0].Version, Value: want[0].Value})
			}
			there, want = there[1:], want[1:]
		}
	}
	return out
}

// sumRecords is the digest of records without their versions, which are each
// store's own.
func sumRecords(rs []store.Record) digest {
	var d digest
	for _, r := range rs {
		r.Version = 0
		d.extend(written(r))
	}
	return d
}
