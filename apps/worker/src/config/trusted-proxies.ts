import { BlockList, isIP } from "node:net";

/**
 * Returns a function that says whether an address is one of the named proxies: addresses, ranges in CIDR notation, or
 * `loopback`. A proxy that connects through a Unix socket has no address, and is trusted.
 *
 * @throws TypeError or RangeError if a name is neither an address nor a range.
 */
export function trustedProxies(names: readonly string[]): (address: string | undefined) => boolean {
  const list = new BlockList();
  for (const name of names.flatMap((each) => (each === "loopback" ? ["127.0.0.0/8", "::1"] : [each]))) {
    const [address = "", prefix, ...rest] = name.split("/");
    const family = familyOf(address);
    if (family === undefined || rest.length > 0)
      throw new TypeError(`${name} is neither an address nor a range`);
    if (prefix === undefined) list.addAddress(address, family);
    else if (/^\d{1,3}$/.test(prefix)) list.addSubnet(address, Number(prefix), family);
    else throw new TypeError(`${name} is not a range`);
  }
  return (address) => {
    if (address === undefined) return true;
    const family = familyOf(address);
    return family !== undefined && list.check(address, family);
  };
}

function familyOf(address: string): "ipv4" | "ipv6" | undefined {
  return ({ 4: "ipv4", 6: "ipv6" } as const)[isIP(address)];
}
