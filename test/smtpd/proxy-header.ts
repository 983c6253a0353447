/** Headers of the PROXY protocol, version 2, made by hand. */

const SIGNATURE = [13, 10, 13, 10, 0, 13, 10, 81, 85, 73, 84, 10];

export const version2 = (command: number, family: number, body: readonly number[], length = body.length): Uint8Array =>
  Uint8Array.from([...SIGNATURE, command, family, length >> 8, length & 255, ...body]);
