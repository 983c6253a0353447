/** The package dns-packet, as far as message.ts uses it. It has no types of its own. */
declare module "dns-packet" {
  export interface PacketRecord {
    readonly name: string;
    readonly type: string;
    readonly class?: string;
    readonly ttl?: number;
    readonly data?: unknown;
  }

  export interface Packet {
    readonly id?: number;
    readonly type?: "query" | "response";
    readonly flags?: number;
    readonly rcode?: string;
    readonly flag_aa?: boolean;
    readonly flag_tc?: boolean;
    readonly flag_ra?: boolean;
    readonly flag_ad?: boolean;
    readonly questions?: readonly { readonly name: string; readonly type: string; readonly class?: string }[];
    readonly answers?: readonly PacketRecord[];
    readonly authorities?: readonly PacketRecord[];
    readonly additionals?: readonly object[];
  }

  export function encode(packet: Packet): Uint8Array;
  export function decode(bytes: Uint8Array): Packet;
}
