// Package table is the room for the connection table's own figures: how many
// connections and expectations it holds, against how many it may, what the kernel has
// counted, and what that means over time: rates, forecasts, pressure.
//
// Reading them is looking and no more: it loads no module and pins none, so it
// reads files, and asks ctnetlink only where that is loaded already.
package table
