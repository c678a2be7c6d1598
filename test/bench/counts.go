package main

import "maps"

// tally is what calls of one kind cost.
type tally struct {
	Requests int64 `json:"requests"`
	// Refused counts replies of 400 and above; they are part of Requests.
	Refused int64 `json:"refused"`
	// Sent and Received are bytes of request and response bodies, as on the wire.
	Sent     int64 `json:"sent"`
	Received int64 `json:"received"`
}

func (t tally) plus(u tally) tally {
	return tally{t.Requests + u.Requests, t.Refused + u.Refused, t.Sent + u.Sent, t.Received + u.Received}
}

func (t tally) minus(u tally) tally {
	return tally{t.Requests - u.Requests, t.Refused - u.Refused, t.Sent - u.Sent, t.Received - u.Received}
}

// counts is what all calls cost, without leases: those are the same whatever the
// rollouts do.
type counts map[call]tally

// since is what was added after an earlier moment.
func (c counts) since(earlier counts) counts {
	added := counts{}
	for k, t := range c {
		if d := t.minus(earlier[k]); d != (tally{}) {
			added[k] = d
		}
	}
	return added
}

// total adds up the calls that are of a kind.
func (c counts) total(of func(call) bool) tally {
	var sum tally
	for k := range maps.Keys(c) {
		if of(k) {
			sum = sum.plus(c[k])
		}
	}
	return sum
}

// Kinds of calls that are added up.
func isWrite(c call) bool { return c.writes() && c.Resource != eventsResource }
func isEvent(c call) bool { return c.writes() && c.Resource == eventsResource }
func isRead(c call) bool  { return !c.writes() }
func isAny(call) bool     { return true }
