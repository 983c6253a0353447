/**
 * An immutable table: keys and values of bytes in one image that is a file as it is and needs no parsing.
 *
 *   header (80 bytes) | records | control bytes | slots            all numbers little endian
 *
 * A key's hash chooses a group of 16 places and a mark (1-255). The control bytes of a group hold the marks of its
 * places, 0 for an empty one, and are compared all at once. 7 of 8 places are taken, so every search ends at a group
 * that has an empty one. The slot of a group: 16 key lengths, 16 value lengths, the offset of its first record; records
 * (key, value) stand in the order of their places. A length of 255 stands for "two u32 with the lengths precede them".
 *
 * Guarantees: the work of get() does not depend on the number of entries; nothing outside the image is read, whatever
 * its bytes are; an image that was cut or changed is refused by open(). `throw` does not occur.
 */

const MAGIC: u32 = 0x50414d57; // "WMAP"
const VERSION: u32 = 1;
const HEADER: usize = 80;
const GROUP: usize = 16;
const SLOT: usize = 36;
/** Entries for a group of 16 places. */
const LOAD: u32 = 14;
const LONG: u32 = 255;

/** Room for a key and for what addressChain() puts together. */
const KEY_LIMIT: usize = 65536;

const OUT: usize = (__heap_base + 15) & ~15;
const KEY: usize = OUT + 64;
const TEMP: usize = KEY + KEY_LIMIT + 64;
const IMAGE: usize = (TEMP + KEY_LIMIT + 64 + 63) & ~63;

let records: usize = 0;
let recordsEnd: usize = 0;
let control: usize = 0;
let slots: usize = 0;
let groups: u32 = 0;

export function keyAt(): usize {
  return KEY;
}

export function keyLimit(): usize {
  return KEY_LIMIT;
}

/** Four u32: what the last call found (value length, or key and value of next()). */
export function outAt(): usize {
  return OUT;
}

/** Makes room for that many bytes from the place it returns; 0 when memory has no such room. */
export function reserve(length: usize): usize {
  return grown(IMAGE, length) ? IMAGE : 0;
}

function grown(start: usize, length: usize): bool {
  const end = <u64>start + <u64>length + 64;
  if (end > 0xffff0000) return false;
  const pages = <i32>((end + 65535) >> 16);
  const missing = pages - memory.size();
  return missing <= 0 || memory.grow(missing) >= 0;
}

/** 0: ready. 1 too short, 2 no image, 3 another version, 4 not of its length, 5 checksum, 6 does not hang together. */
export function open(length: usize): i32 {
  groups = 0;
  if (length < HEADER) return length >= 4 && load<u32>(IMAGE) !== MAGIC ? 2 : 1;
  if (load<u32>(IMAGE) !== MAGIC) return 2;
  if (load<u32>(IMAGE, 4) !== VERSION) return 3;
  if (<usize>load<u32>(IMAGE, 8) !== length) return 4;
  if (load<u64>(IMAGE, 16) !== checksum(IMAGE, length)) return 5;
  const count = load<u32>(IMAGE, 52);
  const controlOffset = <usize>load<u32>(IMAGE, 56);
  const slotsOffset = <usize>load<u32>(IMAGE, 60);
  const fits = count > 0 && controlOffset >= HEADER && controlOffset % 16 === 0 &&
    <u64>controlOffset + <u64>count * GROUP === <u64>slotsOffset &&
    <u64>slotsOffset + <u64>count * SLOT === <u64>length && load<u32>(IMAGE, 48) <= count * LOAD;
  if (!fits) return 6;
  records = IMAGE + HEADER;
  recordsEnd = IMAGE + controlOffset;
  control = IMAGE + controlOffset;
  slots = IMAGE + slotsOffset;
  groups = count;
  return 0;
}

/** Of everything but its own eight bytes. Each step is one to one, so that no single changed word goes unseen. */
function checksum(at: usize, length: usize): u64 {
  let a = i32x4.splat(0x2545f491);
  let b = i32x4.splat(0x3c6ef372);
  let c = i32x4.splat(0x1b873593);
  let d = i32x4.splat(0x7f4a7c15);
  const prime = i32x4.splat(0x01000193 | 0x5bd10000);
  let p = at + 24;
  const end = at + length;
  for (; p + 64 <= end; p += 64) {
    a = turned(i32x4.mul(v128.xor(a, v128.load(p)), prime));
    b = turned(i32x4.mul(v128.xor(b, v128.load(p, 16)), prime));
    c = turned(i32x4.mul(v128.xor(c, v128.load(p, 32)), prime));
    d = turned(i32x4.mul(v128.xor(d, v128.load(p, 48)), prime));
  }
  let sum = mixed(load<u64>(at), load<u64>(at, 8));
  sum = mixed(mixed(sum, i64x2.extract_lane(a, 0)), i64x2.extract_lane(a, 1));
  sum = mixed(mixed(sum, i64x2.extract_lane(b, 0)), i64x2.extract_lane(b, 1));
  sum = mixed(mixed(sum, i64x2.extract_lane(c, 0)), i64x2.extract_lane(c, 1));
  sum = mixed(mixed(sum, i64x2.extract_lane(d, 0)), i64x2.extract_lane(d, 1));
  for (; p < end; p++) sum = mixed(sum, <u64>load<u8>(p));
  return sum;
}

// @ts-ignore: decorator
@inline
function turned(value: v128): v128 {
  return v128.or(i32x4.shl(value, 13), i32x4.shr_u(value, 19));
}

// @ts-ignore: decorator
@inline
function mixed(sum: u64, word: u64): u64 {
  const value = (sum ^ word) * 0x9e3779b97f4a7c15;
  return value ^ (value >> 29);
}

// @ts-ignore: decorator
@inline
function hashOf(key: usize, length: usize): u64 {
  let p = key;
  let rest = length;
  let hash: u64 = <u64>length * 0x9e3779b97f4a7c15;
  for (; rest > 8; rest -= 8, p += 8) {
    hash = (hash ^ load<u64>(p)) * 0xbf58476d1ce4e5b9;
    hash ^= hash >> 29;
  }
  let word: u64 = 0;
  if (rest >= 4) word = <u64>load<u32>(p) | (<u64>load<u32>(p + rest - 4) << 32);
  else if (rest > 0) {
    word = <u64>load<u8>(p) | (<u64>load<u8>(p + (rest >> 1)) << 8) | (<u64>load<u8>(p + rest - 1) << 16);
  }
  hash = (hash ^ word) * 0x94d049bb133111eb;
  hash ^= hash >> 32;
  hash *= 0xbf58476d1ce4e5b9;
  return hash ^ (hash >> 29);
}

// @ts-ignore: decorator
@inline
function groupOf(hash: u64): u32 {
  return <u32>(((hash >> 32) * <u64>groups) >> 32);
}

// @ts-ignore: decorator
@inline
function markOf(hash: u64): u32 {
  return 1 + (((<u32>hash & 0xffff) * 255) >> 16);
}

// @ts-ignore: decorator
@inline
function same(one: usize, other: usize, length: usize): bool {
  if (length >= 16) {
    let at: usize = 0;
    for (; at + 16 < length; at += 16) {
      if (v128.any_true(v128.xor(v128.load(one + at), v128.load(other + at)))) return false;
    }
    return !v128.any_true(v128.xor(v128.load(one + length - 16), v128.load(other + length - 16)));
  }
  if (length >= 8) {
    return load<u64>(one) === load<u64>(other) && load<u64>(one + length - 8) === load<u64>(other + length - 8);
  }
  if (length >= 4) {
    return load<u32>(one) === load<u32>(other) && load<u32>(one + length - 4) === load<u32>(other + length - 4);
  }
  for (let at: usize = 0; at < length; at++) if (load<u8>(one + at) !== load<u8>(other + at)) return false;
  return true;
}

const LANES = i8x16(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);

// @ts-ignore: decorator
@inline
function summed(bytes: v128): u32 {
  const pairs = i16x8.extadd_pairwise_i8x16_u(bytes);
  const fours = i32x4.extadd_pairwise_i16x8_u(pairs);
  return <u32>(i32x4.extract_lane(fours, 0) + i32x4.extract_lane(fours, 1) + i32x4.extract_lane(fours, 2) +
    i32x4.extract_lane(fours, 3));
}

/** Where the record of a place begins; a place beyond the records gives their end. */
function recordOf(slot: usize, place: u32): usize {
  const first = <usize>load<u32>(slot, 32);
  if (first > recordsEnd - records) return recordsEnd;
  const before = i8x16.lt_u(LANES, i8x16.splat(<i8>place));
  const keys = v128.and(v128.load(slot), before);
  const values = v128.and(v128.load(slot, 16), before);
  const long = v128.or(i8x16.eq(keys, i8x16.splat(-1)), i8x16.eq(values, i8x16.splat(-1)));
  if (!v128.any_true(long)) return records + first + summed(keys) + summed(values);
  let at = records + first;
  for (let index: u32 = 0; index < place; index++) {
    const key = <u32>load<u8>(slot + index);
    const value = <u32>load<u8>(slot + index, 16);
    if (key !== LONG && value !== LONG) {
      at += key + value;
      continue;
    }
    if (at + 8 > recordsEnd) return recordsEnd;
    const size = <u64>load<u32>(at) + <u64>load<u32>(at, 4) + 8;
    if (size > <u64>(recordsEnd - at)) return recordsEnd;
    at += <usize>size;
  }
  return at;
}

/** Writes key and value of a place to OUT: addresses and lengths; false when the image has no such record. */
function readRecord(slot: usize, place: u32): bool {
  let at = recordOf(slot, place);
  let key = <u32>load<u8>(slot + place);
  let value = <u32>load<u8>(slot + place, 16);
  if (key === LONG || value === LONG) {
    if (at > recordsEnd || recordsEnd - at < 8) return false;
    key = load<u32>(at);
    value = load<u32>(at, 4);
    at += 8;
  }
  if (at > recordsEnd || <u64>key + <u64>value > <u64>(recordsEnd - at)) return false;
  store<u32>(OUT, value);
  store<u32>(OUT, <u32>at + key, 4);
  store<u32>(OUT, key, 8);
  store<u32>(OUT, <u32>at, 12);
  return true;
}

/** The address of the value, its length in OUT[0]; 0: no such key. */
function search(key: usize, length: usize): usize {
  if (groups === 0) return 0;
  const hash = hashOf(key, length);
  const mark = i8x16.splat(<i8>markOf(hash));
  const short = length < <usize>LONG ? <u32>length : LONG;
  let group = groupOf(hash);
  for (let tried: u32 = 0; tried < groups; tried++) {
    const marks = v128.load(control + <usize>group * GROUP);
    const slot = slots + <usize>group * SLOT;
    for (let hits = i8x16.bitmask(i8x16.eq(marks, mark)); hits !== 0; hits &= hits - 1) {
      const place = <u32>ctz(hits);
      const stored = <u32>load<u8>(slot + place);
      if (stored !== short && stored !== LONG) continue;
      if (!readRecord(slot, place)) continue;
      if (<usize>load<u32>(OUT, 8) !== length) continue;
      if (same(key, <usize>load<u32>(OUT, 12), length)) return <usize>load<u32>(OUT, 4);
    }
    if (i8x16.bitmask(i8x16.eq(marks, i8x16.splat(0))) !== 0) return 0;
    group = group + 1 === groups ? 0 : group + 1;
  }
  return 0;
}

/** ASCII letters of the key become small. */
function fold(length: usize): void {
  const a = i8x16.splat(0x41);
  const z = i8x16.splat(0x5a);
  const bit = i8x16.splat(0x20);
  for (let at: usize = 0; at < length; at += 16) {
    const bytes = v128.load(KEY + at);
    const capital = v128.and(i8x16.ge_u(bytes, a), i8x16.le_u(bytes, z));
    v128.store(KEY + at, v128.or(bytes, v128.and(capital, bit)));
  }
}

export function get(length: usize, folded: bool): usize {
  if (folded) fold(length);
  return search(KEY, length);
}

const ADDRESS: u32 = 1;
const LOCAL: u32 = 2;
const DOMAIN: u32 = 4;
const PARENTS: u32 = 8;
const DOT_PARENTS: u32 = 16;
const USER_AT: u32 = 32;
const AT_DOMAIN: u32 = 64;
const FOLD: u32 = 128;

// @ts-ignore: decorator
@inline
function hit(step: u32, value: usize): f64 {
  return <f64>step * 4294967296.0 + <f64>value;
}

/** Where the first of the delimiters (bytes of a u32) stands in the local part, not at its start; else its length. */
function extensionAt(at: usize, delimiters: u32): usize {
  for (let place: usize = 1; place < at && delimiters !== 0; place++) {
    const byte = <u32>load<u8>(KEY + place);
    for (let rest = delimiters; rest !== 0; rest >>= 8) if (byte === (rest & 255)) return place;
  }
  return at;
}

/** The key is copied without its extension; `tail`: what follows the local part. */
function without(extension: usize, at: usize, tail: usize): usize {
  memory.copy(TEMP, KEY, extension);
  memory.copy(TEMP + extension, KEY + at, tail);
  return extension + tail;
}

/**
 * Looks the key of that length, an address whose @ stands at `at`, up in the order of Postfix's manual pages, as far
 * as the flags ask for it. The answer is step * 2^32 + value: 1 user+ext@domain, 2 user@domain, 3 user+ext, 4 user,
 * 5 domain, 6 a parent domain, 7 user+ext@, 8 user@, 9 @domain; 0: none.
 */
export function addressChain(length: usize, at: usize, delimiters: u32, flags: u32): f64 {
  if (flags & FOLD) fold(length);
  const extension = extensionAt(at, delimiters);
  let value: usize;
  if (flags & ADDRESS) {
    if ((value = search(KEY, length)) !== 0) return hit(1, value);
    if (extension < at && (value = search(TEMP, without(extension, at, length - at))) !== 0) return hit(2, value);
  }
  if (flags & LOCAL) {
    if ((value = search(KEY, at)) !== 0) return hit(3, value);
    if (extension < at && (value = search(KEY, extension)) !== 0) return hit(4, value);
  }
  if (at < length) {
    const domain = KEY + at + 1;
    const end = KEY + length;
    if (flags & DOMAIN && (value = search(domain, end - domain)) !== 0) return hit(5, value);
    if (flags & (PARENTS | DOT_PARENTS)) {
      for (let dot = domain + 1; dot < end; dot++) {
        if (load<u8>(dot) !== 0x2e) continue;
        const start = flags & DOT_PARENTS ? dot : dot + 1;
        if (start < end && (value = search(start, end - start)) !== 0) return hit(6, value);
      }
    }
    if (flags & USER_AT) {
      if ((value = search(KEY, at + 1)) !== 0) return hit(7, value);
      if (extension < at && (value = search(TEMP, without(extension, at, 1))) !== 0) return hit(8, value);
    }
    if (flags & AT_DOMAIN && (value = search(KEY + at, length - at)) !== 0) return hit(9, value);
  }
  return 0.0;
}

/** The next taken place after `place` (from 0), plus one: pass it back for the one after. 0: no more. */
export function next(place: u32): u32 {
  for (let at = place; at < groups * <u32>GROUP; at++) {
    if (load<u8>(control + <usize>at) === 0) continue;
    if (readRecord(slots + <usize>(at >> 4) * SLOT, at & 15)) return at + 1;
  }
  return 0;
}

/**
 * Makes an image of what stands at IMAGE: per entry two u32 (length of key and value), key, value; no key twice.
 * Returns where it begins, 0 when memory has no room; its length is in OUT[0]. Header bytes 24-47 are the caller's:
 * seal() ends the work.
 */
export function build(staged: usize, count: u32): usize {
  groups = max<u32>(1, <u32>((<u64>count + LOAD - 1) / LOAD));
  const places = <usize>groups * GROUP;
  const refs = (IMAGE + staged + 63) & ~63;
  const image = (refs + places * 4 + 63) & ~63;
  const most = <u64>HEADER + <u64>staged + 16 + <u64>places + <u64>groups * SLOT;
  if (most > 0xffff0000 || !grown(image, <usize>most)) return 0;
  memory.fill(refs, 0, places * 4);
  let size: usize = 0;
  let at = IMAGE;
  for (let index: u32 = 0; index < count; index++) {
    const key = load<u32>(at);
    const value = load<u32>(at, 4);
    let place = <usize>groupOf(hashOf(at + 8, key)) * GROUP;
    while (load<u32>(refs + place * 4) !== 0) place = place + 1 === places ? 0 : place + 1;
    store<u32>(refs + place * 4, <u32>at);
    size += key + value + (key >= LONG || value >= LONG ? 8 : 0);
    at += 8 + key + value;
  }
  const controlOffset = (HEADER + size + 15) & ~15;
  const slotsOffset = controlOffset + places;
  const total = slotsOffset + <usize>groups * SLOT;
  memory.fill(image, 0, total);
  store<u32>(image, MAGIC);
  store<u32>(image, VERSION, 4);
  store<u32>(image, <u32>total, 8);
  store<u32>(image, count, 48);
  store<u32>(image, groups, 52);
  store<u32>(image, <u32>controlOffset, 56);
  store<u32>(image, <u32>slotsOffset, 60);
  fill(image, refs, image + controlOffset, image + slotsOffset);
  store<u32>(OUT, <u32>total);
  return image;
}

function fill(image: usize, refs: usize, controls: usize, slot: usize): void {
  const start = image + HEADER;
  let record = start;
  for (let group: u32 = 0; group < groups; group++, slot += SLOT) {
    store<u32>(slot, <u32>(record - start), 32);
    for (let place: usize = 0; place < GROUP; place++) {
      const ref = <usize>load<u32>(refs + (<usize>group * GROUP + place) * 4);
      if (ref === 0) continue;
      const key = load<u32>(ref);
      const value = load<u32>(ref, 4);
      store<u8>(controls + <usize>group * GROUP + place, <u8>markOf(hashOf(ref + 8, key)));
      store<u8>(slot + place, <u8>min(key, LONG));
      store<u8>(slot + place, <u8>min(value, LONG), 16);
      if (key >= LONG || value >= LONG) {
        store<u32>(record, key);
        store<u32>(record, value, 4);
        record += 8;
      }
      memory.copy(record, ref + 8, key + value);
      record += key + value;
    }
  }
}

/** Writes the checksum of the image at `image`. */
export function seal(image: usize): void {
  store<u64>(image, checksum(image, <usize>load<u32>(image, 8)), 16);
}
