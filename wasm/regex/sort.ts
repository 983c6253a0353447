/** Sorting of vectors, in place. */

import { Ints } from "./memory";

export function sortItems(list: Ints): void {
  // Insertion sort: sets are small and nearly sorted; large ones go through a heap.
  const count = list.length;
  if (count > 64) return heapSort(list);
  for (let index = 1; index < count; index++) {
    const value = list.get(index);
    let at = index - 1;
    while (at >= 0 && list.get(at) > value) {
      list.set(at + 1, list.get(at));
      at--;
    }
    list.set(at + 1, value);
  }
}

function heapSort(list: Ints): void {
  const count = list.length;
  for (let start = (count >> 1) - 1; start >= 0; start--) sift(list, start, count);
  for (let end = count - 1; end > 0; end--) {
    const top = list.get(0);
    list.set(0, list.get(end));
    list.set(end, top);
    sift(list, 0, end);
  }
}

function sift(list: Ints, from: i32, end: i32): void {
  let root = from;
  while (true) {
    let child = 2 * root + 1;
    if (child >= end) return;
    if (child + 1 < end && list.get(child + 1) > list.get(child)) child++;
    if (list.get(root) >= list.get(child)) return;
    const value = list.get(root);
    list.set(root, list.get(child));
    list.set(child, value);
    root = child;
  }
}

export function unique(list: Ints): void {
  let kept = 0;
  for (let index = 0; index < list.length; index++) {
    if (index > 0 && list.get(index) === list.get(index - 1)) continue;
    list.set(kept++, list.get(index));
  }
  list.length = kept;
}
