/**
 * The PROXY protocol, versions 1 and 2, as a load balancer speaks it before the client's first byte
 * (smtpd_upstream_proxy_protocol = haproxy): who the client is. Pure.
 * Connections that are not relayed (version 2, LOCAL) keep their own address; UNKNOWN and UNSPEC are refused, because
 * nobody would know whom they let in. An address with leading zeros is no address.
 */

import { addressBytes, addressText, isMapped } from "../ip-address.ts";
import { latin1Decode } from "../latin1.ts";
import type { Peer } from "./dialogue.ts";

export type ProxyHeader =
  | { readonly kind: "header"; readonly length: number; readonly peer: Peer | null }
  /** Not all of it is there; `why` where no more comes. */
  | { readonly kind: "more"; readonly why: string }
  | { readonly kind: "bad"; readonly why: string };

/** What the families in inet_protocols allow. */
export interface Families {
  readonly ipv4: boolean;
  readonly ipv6: boolean;
}

/** Longest header that is read: addresses of unix sockets, and 320 bytes of extensions. */
const LONGEST = 536;
const SIGNATURE = "\r\n\r\n\0\r\nQUIT\n";
const BEGIN = "PROXY ";
const HEAD_SIZE = 16;
const INCOMPLETE = "missing protocol header terminator";
const SHORT = "short version 2 protocol header";

const bad = (why: string): ProxyHeader => ({ kind: "bad", why });

export function readProxyHeader(bytes: Uint8Array, families: Families): ProxyHeader {
  const text = latin1Decode(bytes.subarray(0, LONGEST));
  const could = (start: string): boolean => text.startsWith(start.slice(0, text.length));
  if (could(SIGNATURE)) {
    if (bytes.length < HEAD_SIZE) return { kind: "more", why: "short protocol header" };
    return binary(bytes, families);
  }
  if (could(BEGIN)) {
    const end = text.indexOf("\n");
    if (end >= 0) return line(text.slice(0, end), end + 1, families);
    const why = text.length < SIGNATURE.length ? "short protocol header" : INCOMPLETE;
    return text.length < LONGEST ? { kind: "more", why } : bad(why);
  }
  return bad(text.length < SIGNATURE.length ? "short protocol header" : "unrecognized protocol header");
}

/** Version 1: "PROXY TCP4 client server port port" */
function line(text: string, length: number, families: Families): ProxyHeader {
  const [, protocol = "", ...words] = text.split(/[ \r]+/).filter((word) => word !== "");
  const six = protocol.toUpperCase() === "TCP6";
  if (!(six ? families.ipv6 : protocol.toUpperCase() === "TCP4" && families.ipv4)) {
    return bad("bad or missing protocol type");
  }
  const [address, localAddress] = [words[0], words[1]].map((word) => addressOf(word ?? "", six, families));
  if (address === null || address === undefined) return bad("bad or missing client address");
  if (localAddress === null || localAddress === undefined) return bad("bad or missing server address");
  const [port, localPort] = [words[2], words[3]].map((word) => portOf(word ?? ""));
  if (port === null || port === undefined) return bad("bad or missing client port");
  if (localPort === null || localPort === undefined) return bad("bad or missing server port");
  return { kind: "header", length, peer: { address, port, localAddress, localPort } };
}

/** Of the family that was announced; an IPv4 address inside IPv6 is IPv4 where that is in use. */
function addressOf(text: string, six: boolean, families: Families): string | null {
  const bytes = text.includes(":") === six ? addressBytes(text) : null;
  if (bytes === null) return null;
  return six && bytes.length === 4 && !families.ipv4 ? text.toLowerCase() : addressText(bytes);
}

function portOf(text: string): number | null {
  return /^(?:0|[1-9]\d{0,4})$/.test(text) && Number(text) < 65536 ? Number(text) : null;
}

const LOCAL = 0x20;
const PROXY = 0x21;
const TCP4 = 0x11;
const TCP6 = 0x21;

/** Version 2: signature, version and command, family, length, addresses, ports, extensions. */
function binary(bytes: Uint8Array, families: Families): ProxyHeader {
  const [command = 0, family = 0, high = 0, low = 0] = bytes.subarray(SIGNATURE.length, HEAD_SIZE);
  const length = HEAD_SIZE + (high << 8 | low);
  if (length > LONGEST) return bad(SHORT);
  if (bytes.length < length) return { kind: "more", why: SHORT };
  if (command >> 4 !== 2) return bad("unrecognized protocol version");
  if (command === LOCAL) return { kind: "header", length, peer: null };
  if (command !== PROXY) return bad("bad command in proxy header");
  const size = family === TCP4 ? 4 : family === TCP6 ? 16 : 0;
  if (size === 0) return bad("unsupported network protocol");
  if (!families[size === 4 ? "ipv4" : "ipv6"]) return bad(`Postfix IPv${size === 4 ? 4 : 6} support is disabled`);
  if (length < HEAD_SIZE + 2 * size + 4) return bad("short address field");
  const textAt = (at: number): string => {
    const raw = bytes.subarray(at, at + size);
    return addressText(isMapped(raw) && families.ipv4 ? raw.subarray(12) : raw);
  };
  const portAt = (at: number): number => (bytes[at] as number) << 8 | bytes[at + 1] as number;
  const ports = HEAD_SIZE + 2 * size;
  return {
    kind: "header",
    length,
    peer: {
      address: textAt(HEAD_SIZE),
      localAddress: textAt(HEAD_SIZE + size),
      port: portAt(ports),
      localPort: portAt(ports + 2),
    },
  };
}
