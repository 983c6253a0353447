/**
 * The settings that parts of the mail system have of their own.
 */

import type { Config, Loaded } from "./config.ts";

/** main.cf with the -o settings of the service inside the mail system that has that name. */
export function ownConfig({ main, services, configFor }: Loaded, name: string): Config {
  const service = services.find((one) => one.name === name && one.type !== "inet");
  return service === undefined ? main : configFor(service);
}

/** Probes may have routes of their own; the same object where they have none. */
export function probeConfig(main: Config): Config {
  const own = {
    local_transport: main.address_verify_local_transport,
    virtual_transport: main.address_verify_virtual_transport,
    relay_transport: main.address_verify_relay_transport,
    default_transport: main.address_verify_default_transport,
    transport_maps: main.address_verify_transport_maps,
    relayhost: main.address_verify_relayhost,
    sender_dependent_relayhost_maps: main.address_verify_sender_dependent_relayhost_maps,
    sender_dependent_default_transport_maps: main.address_verify_sender_dependent_default_transport_maps,
  };
  const differs = Object.entries(own).some(([name, value]) => String(value) !== String(main[name as keyof typeof own]));
  return differs ? { ...main, ...own } : main;
}
