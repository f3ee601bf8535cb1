// Package table is the room for the connection table's own figures: how many
// connections and expectations it holds, against how many it may.
//
// Reading them is looking and no more: it loads no module and pins none, so it
// reads files and never opens ctnetlink on its own account.
package table
