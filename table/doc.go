// Package table reads the figures of the connection table: its connections and expectations, their limits,
// and the kernel's counters. From several samples it computes rates, forecasts and pressure.
//
// Reading never loads or pins a module: the package reads files, and uses ctnetlink only if its module is
// loaded already.
package table
