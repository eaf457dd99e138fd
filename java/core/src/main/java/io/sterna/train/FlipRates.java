package io.sterna.train;

import io.sterna.nn.LayerKind;
import io.sterna.nn.Parameter;
import java.util.EnumMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** The share of codes that changed in a step: of all, by kind of layer, and by name of the tensor in the model's order. */
record FlipRates(double total, Map<LayerKind, Double> byKind, Map<String, Double> byLayer) {
    /**
     * Shares of the codes of some parameters.
     *
     * @param flips codes that changed, by the id of the parameter
     */
    static FlipRates of(List<Parameter> parameters, long[] flips) {
        Count total = new Count();
        Map<LayerKind, Count> kinds = new EnumMap<>(LayerKind.class);
        Map<String, Double> layers = new LinkedHashMap<>();
        for (Parameter p : parameters) {
            Count layer = new Count();
            for (Count count : List.of(layer, kinds.computeIfAbsent(p.kind(), kind -> new Count()), total)) {
                count.add(flips[p.id()], p.size());
            }
            layers.put(p.name(), layer.rate());
        }
        Map<LayerKind, Double> rates = new EnumMap<>(LayerKind.class);
        kinds.forEach((kind, count) -> rates.put(kind, count.rate()));
        return new FlipRates(total.rate(), rates, layers);
    }

    private static final class Count {
        private long flips;
        private long codes;

        void add(long moreFlips, long moreCodes) {
            flips += moreFlips;
            codes += moreCodes;
        }

        double rate() {
            return codes == 0 ? 0 : (double) flips / codes;
        }
    }
}
