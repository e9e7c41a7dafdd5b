package page

import (
	"isoperf/bench/sample"
	"isoperf/reports/network"
	"isoperf/reports/table"
)

// networkChapters are those of paths. A path that was not proved has no number.
func networkChapters() []chapter {
	all := []chapter{
		{
			family: network.Stream, heading: "Network: how many bytes per second a path carries",
			about: "Two processes on this machine, in a network that the run makes for itself: a peer, a host with an uplink to it, and a container behind the path. One sends as fast as it can, the other counts what arrives; 300 ms to warm up, then the time that is measured. " +
				"`goodput-B/s` is data that arrived over the time it took, without headers, printed in Gbit/s of 10^9 bits. `sender-ns/B`, `receiver-ns/B` and `translator-ns/B` are the CPU time of the three processes for each byte that arrived, and `cpu-ns/B` their sum; `softirq-ns/B` is the whole machine's and overlaps the ends. " +
				"A sample counts only if its path was proved: the interface that the data must take carried it (within 5 %, and headers), the translator used CPU time, the MTU was read back. The others are not proven, and have no number.",
		},
		{
			family: network.Distance, heading: "Network: what distance does",
			about: "The same with a round-trip time that netem adds. TCP without window scaling has at most 65535 bytes on the way, so it carries at most that for each round trip.",
		},
		{
			family: network.Request, heading: "Network: how long an answer takes",
			about: "A byte is sent every 500 us, whether the one before was answered or not, and one byte comes back. `rr-ns` (median), `rr-p90-ns`, `rr-p99-ns` and `rr-p999-ns` run from when the request was due to when its answer had been read; `cpu-ns` is the CPU time of both ends and the translator for one request.",
		},
		{
			family: network.Connect, heading: "Network: connections",
			about: "Connect, send a byte, read one, close; one after the other. `connect-ns` is connect(2) alone, `crr-ns` (median) and `crr-p99-ns` all of it.",
		},
		{
			family: network.Datagram, heading: "Network: datagrams",
			about: "Datagrams as large as the MTU allows, at a rate that is searched for: the highest at which no more than 0.5 % were lost. `cpu-ns` is for one datagram.",
		},
		{
			family: network.Setup, heading: "Network: set-up and removal",
			about: "From when a container is to be given a network: `process-ns` to the helper started, `link-ns`, `address-ns` and `address6-ns` to the link and the addresses there (as the kernel tells by rtnetlink; IPv6 when it is no longer tentative), `said-ns` to what sets it up saying that it is ready, `setup-ns` to the first TCP handshake with the peer. `teardown-ns` is the removal alone; `translator-B` is the helper's resident memory.",
		},
		{
			family: network.Send, heading: "Network: ways to send and to receive",
			about: "The same bytes by write, sendfile, MSG_ZEROCOPY and splice, received by read, MSG_TRUNC (which copies nothing) and splice.",
		},
	}
	for i, c := range all {
		all[i].own = func(f *sample.File) []table.Table { return network.Tables(f, c.family) }
	}
	return all
}
