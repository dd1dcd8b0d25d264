package client

import (
	"slices"

	"github.com/parley-im/parley"
)

// apply folds one record of the journal.
func (q *Queue) apply(r record) {
	for i := range r.Add {
		q.forget(r.Add[i].key) // it is pending again
		q.insert(r.Add[i].post(), r.Add[i].About)
	}
	if r.Done != nil {
		q.remove(*r.Done)
	}
	if r.Fail != nil {
		if it := q.remove(r.Fail.key); it != nil {
			q.failed = append(q.failed, Failure{Post: it.post, About: it.about, Err: &parley.Error{Code: r.Fail.Code, Op: "client.send", Detail: r.Fail.Detail}})
		}
	}
	if r.Forget != nil {
		q.forget(*r.Forget)
	}
}

// forget drops a failure in memory. The caller holds mu or is alone.
func (q *Queue) forget(k key) {
	q.failed = slices.DeleteFunc(q.failed, func(f Failure) bool { return keyOf(&f.Post) == k })
}

func keyOf(p *parley.Post) key { return key{p.Conversation, p.ID} }

// insert adds a pending message in memory. The caller holds mu or is alone.
func (q *Queue) insert(p parley.Post, about parley.MessageID) {
	k := keyOf(&p)
	if q.index[k] != nil {
		return
	}
	it := &item{post: p, about: about}
	q.items = append(q.items, it)
	q.index[k] = it
	q.lanes[p.Conversation] = append(q.lanes[p.Conversation], it)
	q.pending++
	q.bytes += int64(len(p.Body.Data))
}

// remove takes a pending message out in memory. The caller holds mu or is alone.
func (q *Queue) remove(k key) *item {
	it := q.index[k]
	if it == nil {
		return nil
	}
	it.done = true
	delete(q.index, k)
	lane := q.lanes[k.Conversation]
	if lane[0] == it {
		lane = lane[1:] // nearly always: a lane is sent in order
	} else if i := slices.Index(lane, it); i > 0 {
		lane = slices.Delete(lane, i, i+1)
	}
	if q.lanes[k.Conversation] = lane; len(lane) == 0 {
		delete(q.lanes, k.Conversation)
	}
	q.pending--
	q.bytes -= int64(len(it.post.Body.Data))
	if len(q.items) > 2*q.pending+64 {
		q.sweep()
	}
	return it
}

// sweep drops what is done from items.
func (q *Queue) sweep() {
	q.items = slices.DeleteFunc(q.items, func(it *item) bool { return it.done })
}

// settle writes r, then folds it. On a queue that was closed it does nothing.
func (q *Queue) settle(r record, sync bool) error {
	q.turn <- struct{}{}
	defer func() { <-q.turn }()
	if q.over() {
		return nil // the message stays on disk; sent again, it is the same one
	}
	err := q.journal.append(sync, r)
	q.mu.Lock()
	q.apply(r)
	waste := q.journal.size - q.bytes*4/3 - int64(q.pending+len(q.failed))*256
	q.mu.Unlock()
	if err != nil {
		return diskError("client.queue", "the queue cannot be written", err)
	}
	if waste > compactAt && waste > q.journal.size/2 {
		return q.rewrite()
	}
	return nil
}

// rewrite writes the journal anew with what is still of use. The caller holds
// turn or is alone.
func (q *Queue) rewrite() error {
	q.mu.Lock()
	var records []record
	for i := range q.failed {
		f := &q.failed[i]
		records = append(records, record{Add: []queued{queuedOf(&f.Post, f.About)}},
			record{Fail: &failed{key: keyOf(&f.Post), Code: f.Err.Code, Detail: f.Err.Detail}})
	}
	for _, it := range q.items {
		if !it.done {
			records = append(records, record{Add: []queued{queuedOf(&it.post, it.about)}})
		}
	}
	q.mu.Unlock()
	data, err := journalOf(records)
	if err != nil {
		return err
	}
	f, err := q.disk.replace(data)
	if err != nil {
		return err
	}
	if q.journal.file != nil {
		_ = q.journal.file.Close() // its name is gone; what counts is in f
	}
	q.journal = journal{file: f, size: int64(len(data))}
	return nil
}
