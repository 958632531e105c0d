// SPDX-License-Identifier: Apache-2.0

//go:build race

package top

// raced says that the race detector is at work, which makes counting 20 times slower.
const raced = true
