import { deliveriesLua } from "../driver/deliveries-lua.ts";
import { turnScript } from "../driver/turn-script.ts";
import { deliverScript } from "./other-scripts.ts";
import { JOURNAL_KEYS } from "./run-lua.ts";

let built: string | undefined;

/** The script of a turn with deliveries. A turn without one has the script of the driver, which pays nothing for them. */
export function deliveringTurnScript(): string {
  return (built ??= turnScript(deliveriesLua(deliverScript(), JOURNAL_KEYS)));
}
