// Package cluster is who is alive, who owns which shard, and the bus between
// nodes. It knows nothing of conversations and inboxes: messages are bytes.
//
// What the store promises does not depend on anything here; its
// compare-and-append decides every write. This package decides speed: where a
// request is sent first, and whether a node may believe what it has in memory
// without asking the store.
//
// # Who is alive
//
// Every node sends a heartbeat to all others five times a second. Who was not
// heard for [Config.Silence] is no longer in the [View]; who says goodbye
// leaves it at once; a later incarnation of a node replaces the former. Shards
// go to the members of the view by rendezvous hashing, so that a node that
// comes or goes moves its own shards and no others.
//
// A node that hears others reach the store, and has itself not written its row
// in the node table for as long as a row is alive, steps out: it says so, is no
// member for those who hear it, and for itself owns nothing that one of them
// could. The others settle when its row is no longer alive. It comes back, by
// writing its row, once it has read the table for three announcements without
// a failure. Where nobody reaches the store nobody steps out.
//
// A bus may also be cut while all reach the store: each side sees the other
// alive in the table, and nobody could settle. So every row says whom its node
// hears, and who is not among those who all hear each other, three
// announcements long, steps out too and removes its row. It comes back when it
// and everybody alive in the table have heard each other for four. See company.
//
// Views may differ for a moment. As a hint, a view needs no more than that.
//
// # When memory may be believed
//
// The invariant of the package is about [Node.Term]:
//
//	At no instant are two nodes settled in different views; so at no
//	instant do two nodes have a term for the same shard.
//
// A node has terms while its view is settled, which takes three things at once.
//
// Agreement. For [Config.Settle] without a break, this node ticked in time and
// every member was heard within [Config.Trust], with a digest of its view that
// equals ours and an echo of a heartbeat that we sent at most two Trusts ago.
// The echo makes the age of what we heard certain, whatever the network held
// back: the clock that measures it is our own.
//
// The node table. A small partition of the store lists the nodes; each writes
// its row every [Config.Announce]. A row is alive if a reader saw it change in
// the last four announcements. This node read the table within the last three,
// and the rows alive were exactly the members, by id and incarnation.
//
// Being announced. This node's own row was alive for everybody who read the
// table in the last three announcements (see [Node.Announced]). So nobody can
// be settled without it. A node that has stepped out is never settled.
//
// Why that is enough. Let A and B be settled at one instant. B is announced,
// so A's table shows B and A's view holds it. So A heard a heartbeat of B that
// is at most two Trusts old, and the digest in it was A's. B has been settled
// for longer than that with one view, because a change of view costs it a
// Settle, which is longer than two Trusts. So both have the same view, and a
// shard has one owner in it.
//
// The same for a node that is not settled. If it is announced and has had one
// view for two Trusts, nobody is settled in another one, because a heartbeat of
// it with that one's digest would be too old ([Node.Undisputed]). If it is
// announced and every view it had since it was settled gave it a shard, nobody
// else had a term for that shard since ([View.Held]): it is a member of the
// view of whoever had one, and had that view itself within the two Trusts
// before.
//
// Nothing here compares the clocks of two machines; it is enough that a second
// takes everywhere about as long.
//
// Trust is shorter than Silence, so that a node that was cut off stops
// believing before others drop it; the proof above does not need it.
//
// A process that was frozen finds out before it believes anything: [Node.Term]
// compares the clock with the end of what the last events proved, and does not
// wait for a tick. A whole machine that was suspended together with its
// monotonic clock is the exception: it finds out with the first heartbeat.
//
// The store is asked for one more reason than the majority it needs for every
// write anyway: a node that cannot reach it cannot have terms, so a node cut
// off from it hands over instead of guessing. Who is alone settles as well,
// when the table says so.
//
// # Names
//
// The row in the node table says which incarnation a name belongs to, and rows
// change by compare-and-set: of two nodes with one name, one finds the other's
// incarnation there and stops ([Join], [Node.Failed]).
//
// # Buses
//
// [OpenNATS] is the bus between machines: NATS core inside this process, its
// routes over TLS with certificates made from the cluster's secret. Package
// clustertest has the bus of tests, and one suite for both.
package cluster
