// Package local is the root of a module of its own, for tests that need a library which ctkeeper does not: a browser
// (chromedp), and a second client of ctnetlink (ti-mo/conntrack). They run on this host, without a virtual machine,
// and use what the tested packages export. So these libraries are not among the requirements of the module that users
// build.
package local
