package io.sterna.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;

import io.sterna.kernel.Tier;
import java.util.List;
import org.junit.jupiter.api.Test;

class DoctorCommandTest {
    @Test
    void whatTheSystemWithholdsHasItsRemedy() {
        assertEquals("amx needs amx-tile, os-amx, which CPU or OS does not grant",
                DoctorCommand.refusal(Tier.AMX, List.of("amx-tile", "os-amx")));
        assertEquals("amx needs os-amx, which CPU or OS does not grant: Linux 5.16 or later does, unless a sandbox or a thread's"
                + " small alternate signal stack forbids it", DoctorCommand.refusal(Tier.AMX, List.of("os-amx")));
    }
}
