/**
 * What a DNS question comes back as. "I do not know" (unsure) is its own answer and never becomes a 5xx.
 * The words are those of dns_lookup(3) in Postfix, because they appear in the log, in deferral reasons and in notices.
 */

export type RecordType = "MX" | "A" | "AAAA" | "PTR" | "TXT" | "TLSA" | "NS" | "SRV" | "CNAME";

export type DnsAnswer<T> =
  | {
    readonly kind: "found";
    readonly records: readonly T[];
    /** The server vouched for the whole answer (AD bit, RFC 4035 §3.2.3) and was asked to (DO bit). */
    readonly secure: boolean;
    /** The name at the end of the CNAME chain; the name asked for when there is none. */
    readonly name: string;
  }
  | { readonly kind: "none"; readonly why: "nxdomain" | "nodata" }
  | {
    readonly kind: "unsure";
    readonly why: string;
    /** What no server can mend: no record names a host, or the CNAMEs bite their tail. */
    readonly fault?: "records" | "loop";
  };

export interface MxRecord {
  readonly preference: number;
  /** Without the final dot; "" is the null MX of RFC 7505. */
  readonly exchange: string;
}

export interface SrvRecord {
  readonly priority: number;
  readonly weight: number;
  readonly port: number;
  readonly target: string;
}

/** RFC 6698 §2.1. */
export interface TlsaRecord {
  readonly usage: number;
  readonly selector: number;
  readonly matchingType: number;
  readonly certificate: Uint8Array;
}

/** The record of each type. */
export interface Records {
  MX: MxRecord;
  A: string;
  AAAA: string;
  PTR: string;
  TXT: string;
  TLSA: TlsaRecord;
  NS: string;
  SRV: SrvRecord;
  CNAME: string;
}

export type Failure = "try-again" | "non-recoverable" | "malformed" | "loop";

export function unsureWords(name: string, type: RecordType, failure: Failure): string {
  switch (failure) {
    case "try-again":
      return nameServiceError(name, type, "Host not found, try again");
    case "non-recoverable":
      return nameServiceError(name, type, "Non-recoverable error");
    case "malformed":
      return `Name service error for name=${name} type=${type}: Malformed or unexpected name server reply`;
    case "loop":
      return `Name server loop for ${name}`;
  }
}

/** The words for an answer that holds no records. */
export function failureWords(name: string, type: RecordType, answer: DnsAnswer<unknown>): string {
  switch (answer.kind) {
    case "found":
      return "";
    case "unsure":
      return answer.why;
    case "none": {
      if (!validName(name)) return `Name service error for ${name}: invalid host or domain name`;
      const word = answer.why === "nxdomain" ? "Host not found" : "Host found but no data record of requested type";
      return nameServiceError(name, type, word);
    }
  }
}

function nameServiceError(name: string, type: RecordType, word: string): string {
  return `Host or domain name not found. Name service error for name=${name} type=${type}: ${word}`;
}

/**
 * A name that may be asked for: labels of 1 to 63 bytes, 255 in all (RFC 1035 §2.3.4). Underscores and bytes over 127
 * are let through, as names below _tcp and internationalised names need them.
 */
export function validName(name: string): boolean {
  const bare = name.endsWith(".") ? name.slice(0, -1) : name;
  if (bare === "" || bare.length > 253) return false;
  // deno-lint-ignore no-control-regex
  if (/[\x00-\x20"#$%&'()*,/:;<=>?@[\\\]^`{|}~\x7f]/.test(bare)) return false;
  return bare.split(".").every((label) => label !== "" && label.length <= 63);
}

/** A name that may stand for a host in resource data: letters, digits, hyphen, underscore, dots; not a number alone. */
export function validHostname(name: string): boolean {
  if (!/^[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*$/i.test(name)) return false;
  return validName(name) && !/^[0-9.]+$/.test(name);
}
