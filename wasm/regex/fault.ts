/**
 * What is wrong with a pattern. pcre codes are PCRE2's numbers, regexp codes regcomp's; 900 and up are our own limits.
 */

export const enum Fault {
  None = 0,
  // Ours
  Unsupported = 900,
  TooBig = 901,
}

export let faultCode: i32 = 0;
export let faultOffset: i32 = 0;

export function clearFault(): void {
  faultCode = 0;
  faultOffset = 0;
}

/** Keeps the first fault; gives -1, the node number that means "failed". */
export function fault(code: i32, offset: i32): i32 {
  if (faultCode === 0) {
    faultCode = code;
    faultOffset = offset;
  }
  return -1;
}
