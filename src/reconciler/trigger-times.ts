/** When the changes behind a Service were made, in milliseconds since the epoch, until they are in force. */
import type { ServiceKey } from '../model/cluster';

export class TriggerTimes {
  readonly #byService = new Map<ServiceKey, number[]>();

  add(times: ReadonlyMap<ServiceKey, readonly number[]>): void {
    for (const [key, some] of times) {
      const earlier = this.#byService.get(key);
      if (earlier === undefined) this.#byService.set(key, [...some]);
      else earlier.push(...some);
    }
  }

  /** Takes the times known now: they are in force once a round that begins now has gone well. */
  begin(): TriggersInHand {
    const inHand = [...this.#byService].map(([key, times]) => [key, [...times]] as const);
    return {
      end: (services) => {
        for (const [key, { length }] of inHand) {
          const later = this.#byService.get(key)?.slice(length) ?? [];
          if (later.length > 0) this.#byService.set(key, later);
          else this.#byService.delete(key);
        }
        return inHand.flatMap(([key, times]) => (services.has(key) ? times : []));
      },
    };
  }
}

export interface TriggersInHand {
  /** The round went well: returns the times of the Services that it changed. */
  end(services: ReadonlyMap<ServiceKey, unknown>): readonly number[];
}
