package io.sterna.layers;

import static com.tngtech.archunit.core.domain.JavaClass.Predicates.resideInAPackage;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.classes;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;
import static com.tngtech.archunit.library.Architectures.layeredArchitecture;
import static com.tngtech.archunit.library.dependencies.SlicesRuleDefinition.slices;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.tngtech.archunit.core.domain.JavaClasses;
import com.tngtech.archunit.core.importer.ClassFileImporter;
import com.tngtech.archunit.core.importer.ImportOption;
import com.tngtech.archunit.lang.ArchRule;
import java.lang.foreign.Linker;
import java.lang.foreign.SymbolLookup;
import java.lang.invoke.MethodHandle;
import org.junit.jupiter.api.Test;

/** The packages form layers, and arrows point down only. */
class LayersTest {
    private static final String ROOT = "io.sterna";
    private static final String FIXTURE = "io.sterna.layers.fixture";

    private static final JavaClasses CORE = new ClassFileImporter()
            .withImportOption(ImportOption.Predefined.DO_NOT_INCLUDE_TESTS).importPackages(ROOT);

    private static final JavaClasses BROKEN = new ClassFileImporter().importPackages(FIXTURE);

    @Test
    void arrowsPointDown() {
        layers(ROOT).check(CORE);
        assertThrows(AssertionError.class, () -> layers(FIXTURE).check(BROKEN));
    }

    @Test
    void everyPackageHasALayer() {
        classes().should().resideInAnyPackage(ROOT, ROOT + ".train..", ROOT + ".infer..", ROOT + ".eval..",
                ROOT + ".data..", ROOT + ".io..", ROOT + ".optim..", ROOT + ".nn..", ROOT + ".kernel..",
                ROOT + ".tensor..", ROOT + ".rng..").check(CORE);
    }

    @Test
    void packagesFormNoCycles() {
        slices().matching(ROOT + ".(*)..").should().beFreeOfCycles().check(CORE);
    }

    @Test
    void onlyTheKernelPackageCallsNativeCode() {
        onlyKernelCallsNativeCode(ROOT).check(CORE);
        assertThrows(AssertionError.class, () -> onlyKernelCallsNativeCode(FIXTURE).check(BROKEN));
    }

    @Test
    void onlyTheKernelPackageUsesTheGeneratedBindings() {
        noClasses().that().resideOutsideOfPackage(ROOT + ".kernel..")
                .should().dependOnClassesThat().resideInAPackage(ROOT + ".kernel.ffm..").check(CORE);
    }

    @Test
    void theLibraryNeedsTheJdkAlone() {
        classes().should().onlyDependOnClassesThat().resideInAnyPackage(ROOT + "..", "java..", "jdk..").check(CORE);
    }

    @Test
    void theLibraryNeitherPrintsNorExits() {
        noClasses().that(resideInAPackage(ROOT + "..")).and().resideOutsideOfPackage(ROOT + ".kernel.ffm..")
                .should().accessField(System.class, "out").orShould().accessField(System.class, "err")
                .orShould().callMethod(System.class, "exit", int.class).check(CORE);
        assertTrue(CORE.size() > 20, "the classes were not read");
    }

    /** In some languages the default locale writes numbers in digits of its own, in file names too. */
    @Test
    void textDoesNotDependOnTheDefaultLocale() {
        noClasses().should().callMethod(String.class, "formatted", Object[].class)
                .orShould().callMethod(String.class, "format", String.class, Object[].class)
                .orShould().callMethod(String.class, "toLowerCase").orShould().callMethod(String.class, "toUpperCase").check(CORE);
    }

    private static ArchRule layers(String root) {
        return layeredArchitecture().consideringOnlyDependenciesInAnyPackage(root + "..").withOptionalLayers(true)
                .layer("uses").definedBy(root + ".train..", root + ".infer..", root + ".eval..")
                .layer("parts").definedBy(root + ".data..", root + ".io..", root + ".optim..", root + ".nn..")
                .layer("kernel").definedBy(root + ".kernel..")
                .layer("ground").definedBy(root + ".tensor..", root + ".rng..")
                .whereLayer("uses").mayNotBeAccessedByAnyLayer()
                .whereLayer("parts").mayOnlyBeAccessedByLayers("uses")
                .whereLayer("kernel").mayOnlyBeAccessedByLayers("uses", "parts")
                .whereLayer("ground").mayOnlyBeAccessedByLayers("uses", "parts", "kernel");
    }

    private static ArchRule onlyKernelCallsNativeCode(String root) {
        return noClasses().that().resideOutsideOfPackage(root + ".kernel..")
                .should().dependOnClassesThat().areAssignableTo(Linker.class)
                .orShould().dependOnClassesThat().areAssignableTo(SymbolLookup.class)
                .orShould().dependOnClassesThat().areAssignableTo(MethodHandle.class);
    }
}
