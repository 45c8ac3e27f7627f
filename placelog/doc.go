// Package placelog remembers what places wrote to their logs: what their
// scripts print, their errors, and how their sessions began and ended.
//
// It is memory and nothing else: the newest lines of each place, bounded in
// lines and bytes; the place that wrote longest ago is forgotten first. Who
// reads follows a cursor and may wait for the next line. A control plane that
// starts again begins with an empty log, and cursors of before are good still.
//
// Neighbours: game servers send batches through api; match writes when a
// version fails at start; creators read through api. Lines are missing: look at
// throng_placelog_forgotten_lines_total, and at the game servers'
// throng_gameserver_log_lines_dropped_total.
package placelog
