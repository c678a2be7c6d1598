package main

import "k8s.io/client-go/tools/record"

// eventComponent is the source of every Event that users see; their alerts select on it.
const eventComponent = "rollouts-controller"

// eventCorrelation raises the limits of the client library. Its defaults drop all but 25 Events per object
// and then send one in five minutes, and merge the eleventh of a reason within ten minutes into another:
// a canary of ten steps says more than that, and the order of its reasons is part of the served API.
// An object that is broken for good still sends no more than one in ten seconds.
var eventCorrelation = record.CorrelatorOptions{
	BurstSize: 300,
	QPS:       0.1,
	MaxEvents: 100,
}

func newBroadcaster() record.EventBroadcaster {
	return record.NewBroadcaster(record.WithCorrelatorOptions(eventCorrelation))
}
