// Package trace turns what happened in a start into a file for a trace viewer,
// and into the phases that a person thinks in.
//
//	program.Timeline ──FromTimeline──► events ──Write──► trace.json ──► ui.perfetto.dev, chrome://tracing
//	                                     │                  └──Read──► events
//	                                     └──Phases──► phases ──Bars──► a table
//
// The file is of the Trace Event Format: complete events (ph "X") with
// microseconds that have three decimals, and metadata events (ph "M") that
// name the process and the lanes.
package trace
