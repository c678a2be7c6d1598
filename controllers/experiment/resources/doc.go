// Package resources builds the objects an Experiment owns and reads facts from
// them. It is pure: the shell in controllers/experiment reads and writes them.
package resources
