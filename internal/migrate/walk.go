package migrate

import (
	"context"
	"sync"

	"github.com/parley-im/parley/internal/store"
)

// How much is asked of a store at once.
const (
	namesAtOnce   = 512
	entriesAtOnce = 256
	bytesAtOnce   = 256 << 10 // of bodies in one append
	rowsAtOnce    = 128
	recordsAtOnce = 256 // in one answer
	changesAtOnce = 16  // in one commit: an engine may bound a commit's bytes
	valuesAtOnce  = 16 << 10
)

// each calls do for every name that list lists, several at once, until one
// fails. It returns when all have returned.
func each[N ~string](ctx context.Context, workers int, list func(context.Context, N, int) ([]N, error), do func(context.Context, N) error) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	names := make(chan N)
	var running sync.WaitGroup
	for range max(workers, 1) {
		running.Go(func() {
			for name := range names {
				if err := do(ctx, name); err != nil {
					stop(err)
					return
				}
			}
		})
	}
	err := offer(ctx, list, names)
	close(names)
	running.Wait()
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

// offer sends every name there is.
func offer[N ~string](ctx context.Context, list func(context.Context, N, int) ([]N, error), to chan<- N) error {
	for after := N(""); ; {
		page, err := list(ctx, after, namesAtOnce)
		if err != nil || len(page) == 0 {
			return err
		}
		for _, name := range page {
			select {
			case to <- name:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		after = page[len(page)-1]
	}
}

// records returns all records of a partition, ascending by key.
func records(ctx context.Context, s store.Records, partition string) ([]store.Record, error) {
	var out []store.Record
	for after := ""; ; {
		page, err := s.ListRecords(ctx, partition, "", after, recordsAtOnce)
		if err != nil || len(page) == 0 {
			return out, err
		}
		out = append(out, page...)
		after = page[len(page)-1].Key
	}
}
