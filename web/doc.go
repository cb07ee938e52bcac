// Package web is the box's page for the people who keep it running: lines,
// calls and mail as they are now, read-only, rendered on the server and kept
// live by server-sent events.
//
//	status.Board --Watch--> /events  (the rendered part, pushed on change)
//	             --Snapshot-> /       (the page)
//	                        `> /status.json
//
// It works without JavaScript (reload it) and loads nothing from anywhere else.
package web
