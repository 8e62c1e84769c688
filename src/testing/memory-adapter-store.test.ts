import { adapterStoreConformance } from './adapter-store-conformance.ts';
import { MemoryAdapterStore } from './memory-adapter-store.ts';

const places = new Map<string, MemoryAdapterStore>();

adapterStoreConformance((place) => {
  const adapters = places.get(place) ?? new MemoryAdapterStore();
  places.set(place, adapters);
  adapters.isDown = false;
  const close = () => {
    adapters.isDown = true;
    return Promise.resolve();
  };
  return Promise.resolve({ adapters, [Symbol.asyncDispose]: close });
}, 1_500);
