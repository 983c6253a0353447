/**
 * Opens what a former process left: checkpoint, then the log behind it, in order. The last writer may have been cut off
 * at any byte. Damage before the tail of a segment costs its record alone: the bytes go to corrupt/ and are reported.
 * Throws ConfigError for a newer format; the system's errors when folder or segments cannot be read.
 */

import { systemCode } from "../../errors.ts";
import type { OpenFile } from "../../runtime.ts";
import { loadCheckpoint } from "./checkpoint.ts";
import { readFully, setAside, type SpoolContext } from "./context.ts";
import { readRecord } from "./record.ts";
import { type Region, type ScanOptions, scanRecords, type ScanResult } from "./scan.ts";
import { FORMAT_VERSION, readHead, Segment, SEGMENT_HEAD } from "./segment.ts";

/** How records of each format version are read. */
const READERS: Readonly<Record<number, (options: ScanOptions) => Promise<ScanResult>>> = { 1: scanRecords };

/** Damaged bytes that are kept of one place. */
const KEPT_OF_DAMAGE = 1024 * 1024;

export interface Recovered {
  /** For this process: above any that was used. */
  readonly epoch: number;
  readonly number: number;
  /** Bytes of the log that were read behind the checkpoint. */
  readonly replayed: number;
}

async function listSegments(context: SpoolContext): Promise<void> {
  for (const name of await context.files.list(context.folder)) {
    if (Segment.isName(name)) context.segments.push(new Segment(name, context.crc32));
  }
  context.segments.sort((a, b) => a.number - b.number || a.epoch - b.epoch);
}

/** Takes one record over into the index. */
function replay(context: SpoolContext, segment: Segment, bytes: Uint8Array, offset: number): boolean {
  const operations = readRecord(bytes);
  if (operations === null) return false;
  const { slots } = context;
  for (const operation of operations) {
    const { key, kind } = operation;
    if (kind === "delete") slots.deletePart(key);
    else if (kind === "text") {
      const { text } = operation;
      slots.putPart(key, kind, { segment, offset, start: 0, length: text.end - text.start }, text);
    } else if (kind === "file") {
      slots.putPart(key, kind, { segment, offset, start: 0, length: operation.size }, operation.text);
    } else slots.putPart(key, kind, { segment, offset, start: operation.start, length: operation.length });
  }
  return true;
}

async function reportDamage(context: SpoolContext, segment: Segment, file: OpenFile, region: Region): Promise<void> {
  const bytes = new Uint8Array(Math.min(region.length, KEPT_OF_DAMAGE));
  const got = await readFully(file, bytes, region.offset);
  const name = `${segment.name}.${region.offset}`;
  context.log.error(
    `damaged queue data: ${region.length} bytes at ${region.offset} of ${context.folder}/${segment.name}, ` +
      `saved as corrupt/${name}`,
  );
  await setAside(context, name, bytes.subarray(0, got));
}

/**
 * Reads the records of a segment from there. It is synced too: a process that was killed may have left records that
 * can be read but are not stored yet, and others will build on them.
 */
async function scanSegment(context: SpoolContext, segment: Segment, version: number, from: number): Promise<void> {
  const file = await context.files.open(`${context.folder}/${segment.name}`, "read");
  try {
    const { damage } = await READERS[version]!({
      crc32: context.crc32,
      seeds: segment.seeds,
      from,
      read: (into, position) =>
        readFully(file, into.subarray(0, Math.max(0, Math.min(into.length, segment.limit - position))), position),
      record: (bytes, offset) => replay(context, segment, bytes, offset),
    });
    await file.sync();
    for (const region of damage) await reportDamage(context, segment, file, region);
  } finally {
    await file.close();
  }
}

/** Sizes, limits and format versions of all segments. */
async function readHeads(context: SpoolContext): Promise<ReadonlyMap<Segment, number>> {
  const versions = new Map<Segment, number>();
  const byNumber = new Map(context.segments.map((segment) => [segment.number, segment]));
  for (const segment of context.segments) {
    const file = await context.files.open(`${context.folder}/${segment.name}`, "read");
    try {
      segment.size = (await file.stat()).size;
      const bytes = new Uint8Array(SEGMENT_HEAD);
      const got = await readFully(file, bytes, 0);
      const head = readHead(context.crc32, segment.seeds, bytes.subarray(0, got));
      versions.set(segment, head?.version ?? FORMAT_VERSION);
      for (const { number, end } of head?.limits ?? []) {
        const limited = byNumber.get(number);
        if (limited !== undefined && number < segment.number) limited.limit = Math.min(limited.limit, end);
      }
    } finally {
      await file.close();
    }
  }
  return versions;
}

/** Values whose segment is gone although nothing in the log says where they went. */
function dropLost(context: SpoolContext): void {
  const there = new Set(context.segments);
  const { slots } = context;
  let lost = 0;
  for (let row = 0; row < slots.rows; row++) {
    const slot = slots.slotAt(row);
    if (slot === null || there.has(slot.segment)) continue;
    slots.delete(slots.keyAt(row)!);
    lost++;
  }
  if (lost > 0) context.log.error(`damaged queue: ${lost} values were in segments that are missing`);
}

async function replayAll(context: SpoolContext): Promise<{ readonly epoch: number; readonly bytes: number }> {
  const versions = await readHeads(context);
  const position = await loadCheckpoint(context);
  let bytes = 0;
  for (const segment of context.segments) {
    if (segment.size <= SEGMENT_HEAD || position !== null && segment.number < position.segment) continue;
    const from = position?.segment === segment.number ? position.offset : SEGMENT_HEAD;
    await scanSegment(context, segment, versions.get(segment)!, from);
    bytes += Math.max(0, segment.size - from);
  }
  if (position?.missing === true) dropLost(context);
  return { epoch: position?.epoch ?? 0, bytes };
}

export async function recover(context: SpoolContext): Promise<Recovered> {
  await listSegments(context);
  const { epoch: checkpointEpoch, bytes: replayed } = await replayAll(context);
  const last = context.segments.at(-1);
  // Files that damaged or torn records named.
  context.slots.takeDropped();
  try {
    await context.files.remove(`${context.folder}/checkpoint.new`);
  } catch (error) {
    if (systemCode(error) !== "ENOENT") throw error;
  }
  return {
    epoch: context.segments.reduce((epoch, segment) => Math.max(epoch, segment.epoch), checkpointEpoch) + 1,
    number: (last?.number ?? 0) + 1,
    replayed,
  };
}
