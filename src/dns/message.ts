/**
 * DNS messages (RFC 1035 §4, EDNS0 RFC 6891) in and out, on dns-packet. The one file that knows that package.
 * Never throws: bytes that are not a well-formed reply decode to null.
 */

import { decode, encode } from "dns-packet";
import type { Packet, PacketRecord } from "dns-packet";
import type { MxRecord, Records, RecordType, SrvRecord, TlsaRecord } from "./answer.ts";
import { validHostname } from "./answer.ts";
import { addressFamily } from "./literal.ts";
import { latin1Decode } from "../latin1.ts";

export interface Question {
  readonly name: string;
  readonly type: RecordType;
  /** Ask for DNSSEC: sets the DO bit (RFC 4035 §3.2.1) and AD (RFC 6840 §5.7). */
  readonly secure: boolean;
}

/** One resource record of the answer section. */
export interface Row {
  /** Lower case, without the final dot. */
  readonly name: string;
  readonly type: string;
  /** Seconds. */
  readonly ttl: number;
  readonly record: Records[RecordType] | null;
}

export interface Reply {
  readonly id: number;
  readonly rcode: string;
  readonly truncated: boolean;
  readonly secure: boolean;
  /** Neither the zone's own server nor one that asks on: its "no records" says nothing about the name. */
  readonly lame: boolean;
  readonly question: { readonly name: string; readonly type: string } | null;
  readonly rows: readonly Row[];
  /** Seconds for which "no such record" may be kept (RFC 2308 §5); null: not said. */
  readonly negativeSeconds: number | null;
}

/** dns-packet reads only the byte class that it writes itself; this makes one of any bytes. */
const Bytes = encode({ type: "query" }).constructor as unknown as {
  from(memory: ArrayBufferLike, offset: number, length: number): Uint8Array;
};

const RECURSION_DESIRED = 1 << 8;
const AUTHENTIC_DATA = 1 << 5;
const DNSSEC_OK = 1 << 15;

/** 1232: no fragments on the usual paths (DNS flag day 2020). */
const UDP_PAYLOAD_BYTES = 1232;

export function encodeQuery(id: number, question: Question, extended: boolean): Uint8Array {
  const edns = {
    type: "OPT",
    name: ".",
    udpPayloadSize: UDP_PAYLOAD_BYTES,
    flags: question.secure ? DNSSEC_OK : 0,
    options: [],
  };
  return encode({
    id,
    type: "query",
    flags: RECURSION_DESIRED | (question.secure ? AUTHENTIC_DATA : 0),
    questions: [{ name: question.name, type: question.type, class: "IN" }],
    additionals: extended ? [edns] : [],
  });
}

export function decodeReply(bytes: Uint8Array): Reply | null {
  let packet: Packet;
  try {
    packet = decode(Bytes.from(bytes.buffer, bytes.byteOffset, bytes.length));
  } catch {
    return null;
  }
  if (packet.type !== "response") return null;
  const asked = packet.questions?.[0];
  return {
    id: packet.id ?? 0,
    rcode: packet.rcode ?? "",
    truncated: packet.flag_tc === true,
    secure: packet.flag_ad === true,
    lame: packet.flag_aa !== true && packet.flag_ra !== true,
    question: asked === undefined ? null : { name: plainName(asked.name), type: asked.type },
    rows: (packet.answers ?? []).filter((answer) => answer.class === "IN").map(rowOf),
    negativeSeconds: negativeSeconds(packet.authorities ?? []),
  };
}

/** Lower case, without the final dot: names compare without regard to case (RFC 4343). */
export function plainName(name: string): string {
  const lower = name.toLowerCase();
  return lower.endsWith(".") ? lower.slice(0, -1) : lower;
}

function rowOf(answer: PacketRecord): Row {
  let record: Row["record"] = null;
  try {
    record = recordOf(answer.type, answer.data);
  } catch {
    // Resource data of a form that its type does not have: the row stays, without a record.
  }
  return { name: plainName(answer.name), type: answer.type, ttl: answer.ttl ?? 0, record };
}

function recordOf(type: string, data: unknown): Row["record"] {
  switch (type) {
    case "A":
    case "AAAA":
      return data as string;
    case "CNAME":
    case "NS":
    case "PTR":
      return hostOf(data as string);
    case "MX":
      return mxOf(data as { preference?: number; exchange: string });
    case "TXT":
      // RFC 7208 §3.3: the strings of one record are joined without a space.
      return (data as Uint8Array[]).map((part) => latin1Decode(part)).join("");
    case "SRV":
      return srvOf(data as SrvRecord);
    case "TLSA":
      return data as TlsaRecord;
    default:
      return null;
  }
}

function mxOf(data: { preference?: number; exchange: string }): MxRecord | null {
  const preference = data.preference ?? 0;
  if (data.exchange === "." || data.exchange === "") return { preference, exchange: "" };
  // An address is no host name (RFC 5321 §5.1), but sites write it, and Postfix follows it.
  const exchange = addressFamily(data.exchange) === null ? hostOf(data.exchange) : data.exchange;
  return exchange === null ? null : { preference, exchange };
}

function srvOf(data: SrvRecord): SrvRecord | null {
  const target = data.target === "." ? "" : hostOf(data.target);
  return target === null ? null : { priority: data.priority ?? 0, weight: data.weight ?? 0, port: data.port, target };
}

/** A name that could not be a host's is dropped: it would end in logs, headers and further questions. */
function hostOf(name: string): string | null {
  const bare = name.endsWith(".") ? name.slice(0, -1) : name;
  return validHostname(bare) ? bare : null;
}

function negativeSeconds(authorities: readonly PacketRecord[]): number | null {
  const soa = authorities.find((row) => row.type === "SOA");
  if (soa === undefined) return null;
  const minimum = (soa.data as { minimum?: number } | undefined)?.minimum ?? 0;
  return Math.min(minimum, soa.ttl ?? 0);
}
