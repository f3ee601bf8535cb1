// Package doctortest makes hosts for the tests of the doctor and its topics.
package doctortest
