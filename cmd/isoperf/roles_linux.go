package main

import (
	"isoperf/bench/network"
	"isoperf/workloads/load"
	"isoperf/workloads/traffic"
)

// roles are what this program is beside its command line, when it has executed
// itself: a host in which a path of the network is measured, and the loads that
// run in the groups and at the ends of the paths that it measures. They do not
// return.
func roles() {
	network.Main()
	load.Main(traffic.Kinds()...)
}
